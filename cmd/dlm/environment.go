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
			fromVariable(f)
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

// annotation marks a flag that got its value from its variable.
const annotation = "dlm_variable"

func fromVariable(f *pflag.Flag) {
	if f.Annotations == nil {
		f.Annotations = map[string][]string{}
	}
	f.Annotations[annotation] = nil
}

// given returns what a person wrote to give the flag its value: the flag, or its
// variable.
func given(flags *pflag.FlagSet, name string) string {
	if f := flags.Lookup(name); f != nil {
		if _, ok := f.Annotations[annotation]; ok {
			return variable(name)
		}
	}
	return "--" + name
}
