package main

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// variable returns the environment variable that stands for a flag.
func variable(flag string) string {
	return "DLM_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// repeatable is a flag that may be given several times.
func repeatable(f *pflag.Flag) bool {
	_, ok := f.Value.(pflag.SliceValue)
	return ok
}

// applyEnvironment sets the flags that were not given from their variables.
func applyEnvironment(cmd *cobra.Command, lookup func(string) (string, bool)) error {
	var problem error
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if f.Changed || f.Name == "help" || f.Name == "version" || problem != nil {
			return
		}
		value, _ := lookup(variable(f.Name))
		if value == "" {
			return
		}
		for _, one := range valuesOf(f, value) {
			if err := f.Value.Set(one); err != nil {
				problem = &usageError{text: variable(f.Name) + ": " + valueProblem(f, one, err)}
				return
			}
			f.Changed = true
			setSource(f, variable(f.Name))
		}
	})
	return problem
}

// valuesOf splits the variable of a repeatable flag into its lines.
func valuesOf(f *pflag.Flag, value string) []string {
	if !repeatable(f) {
		return []string{value}
	}
	var lines []string
	for line := range strings.Lines(value) {
		if line = strings.TrimRight(line, "\r\n"); line != "" {
			lines = append(lines, line)
		}
	}
	return lines
}

// sourceKey is the annotation that names what a flag got its value from, unless
// that was the flag itself.
const sourceKey = "dlm_source"

func setSource(f *pflag.Flag, source string) {
	if f.Annotations == nil {
		f.Annotations = map[string][]string{}
	}
	f.Annotations[sourceKey] = []string{source}
}

// given returns what a person wrote to give the flag its value: the flag, its
// variable, or the line of the config file.
func given(flags *pflag.FlagSet, name string) string {
	if f := flags.Lookup(name); f != nil {
		if source := f.Annotations[sourceKey]; source != nil {
			return source[0]
		}
	}
	return "--" + name
}
