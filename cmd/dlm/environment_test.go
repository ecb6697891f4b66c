package main

import (
	"io"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"
)

// parsed returns the flags of "dlm get" after a command line and variables.
func parsed(t *testing.T, variables map[string]string, args ...string) (*getCommand, error) {
	t.Helper()
	g := &getCommand{ui: newUI(nil, io.Discard)}
	cmd := &cobra.Command{Use: "get"}
	flags := newFlagSet(cmd.Flags())
	g.placing.register(flags)
	g.cache.register(flags)
	g.transfer.register(flags)
	g.output.register(flags)
	require.NoError(t, cmd.ParseFlags(args))
	return g, applyEnvironment(cmd, func(name string) (string, bool) {
		value, ok := variables[name]
		return value, ok
	})
}

func TestVariablesStandForFlags(t *testing.T) {
	g, err := parsed(t, map[string]string{
		"DLM_CACHE_DIR":     "/cache",
		"DLM_GRACE":         "1h30m",
		"DLM_KEEP":          "0",
		"DLM_QUIET":         "true",
		"DLM_HEADER":        "A: 1\r\n\nB: 2\n",
		"DLM_PROGRESS":      "",
		"DLM_STALL_TIMEOUT": "5s",
		"DLM_SIZE_LIMIT":    "0",
	}, "--stall-timeout", "7s")
	require.NoError(t, err)
	require.Equal(t, "/cache", g.cache.dir)
	require.Equal(t, durationValue(90*time.Minute), g.cache.grace)
	require.Equal(t, 0, g.cache.keep.n)
	require.True(t, g.output.quiet)
	require.Equal(t, []string{"A: 1", "B: 2"}, g.transfer.headers)
	require.Equal(t, "auto", g.output.progress.word, "an empty variable is none")
	require.Equal(t, durationValue(7*time.Second), g.transfer.stall, "the flag outranks the variable")
	require.True(t, g.cache.limitFlag.Changed)
}

func TestFlagOutranksRepeatableVariable(t *testing.T) {
	g, err := parsed(t, map[string]string{"DLM_HEADER": "A: 1"}, "--header", "B: 2")
	require.NoError(t, err)
	require.Equal(t, []string{"B: 2"}, g.transfer.headers)
}

func TestEveryFlagHasAVariableThatIsRead(t *testing.T) {
	cmd := newGetCommand(newUI(nil, io.Discard))
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		t.Run(f.Name, func(t *testing.T) {
			asked := false
			require.NoError(t, applyEnvironment(cmd, func(name string) (string, bool) {
				asked = asked || name == variable(f.Name)
				return "", false
			}))
			require.True(t, asked)
		})
	})
	require.Equal(t, "DLM_STALL_TIMEOUT", variable("stall-timeout"))
}

func TestBadVariableIsNamed(t *testing.T) {
	_, err := parsed(t, map[string]string{"DLM_SYNC": "often"})
	require.ErrorContains(t, err, `DLM_SYNC: "often" is none of file, dir, none`)
	require.Equal(t, codeUsage, exitCode(err))
}

func TestGivenNamesWhatWasWritten(t *testing.T) {
	g, err := parsed(t, map[string]string{"DLM_NAME": "x"}, "-o", "y")
	require.NoError(t, err)
	require.Equal(t, "DLM_NAME", given(g.placing.flags, "name"))
	require.Equal(t, "--output", given(g.placing.flags, "output"))
}
