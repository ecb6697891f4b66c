package main

import (
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// completeValues tells the shell what flags can be.
func completeValues(cmd *cobra.Command) {
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		complete := cobra.NoFileCompletions
		if choice, ok := f.Value.(*choiceValue); ok {
			complete = cobra.FixedCompletions(choice.choices, cobra.ShellCompDirectiveNoFileComp)
		}
		switch f.Name {
		case "output", "cacert", "header", "header-for", "lock", "report":
			return // files, which is what shells propose
		case "cache-dir", "job":
			_ = cmd.MarkFlagDirname(f.Name) // fails only for flags that are not there
			return
		}
		_ = cmd.RegisterFlagCompletionFunc(f.Name, complete)
	})
}
