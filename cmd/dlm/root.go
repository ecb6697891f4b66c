package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dlmanager/dlmanager"
)

const rootLong = `dlm downloads files into a cache directory that does not outgrow its limit, and
prints where they are. What is there is not fetched again.`

// execute runs the command line.
func execute(ctx context.Context, u *ui, args []string) error {
	root := newRoot(u)
	root.SetArgs(args)
	return root.ExecuteContext(ctx)
}

func newRoot(u *ui) *cobra.Command {
	root := &cobra.Command{
		Use:           "dlm COMMAND",
		Short:         "Download files into a cache with a limit",
		Long:          rootLong,
		Example:       "  dlm get https://example.com/tool.tar.gz",
		Version:       dlmanager.Version,
		SilenceErrors: true, // ui says them
		SilenceUsage:  true,
		Args:          unknownCommand,
		// Two letters off is a slip; more is another word.
		SuggestionsMinimumDistance: 2,
		// Without a command there is nothing to do but to help.
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			return applyDefaults(cmd, u)
		},
	}
	root.SetOut(u.out)
	root.SetErr(u)
	root.SetFlagErrorFunc(flagProblem)
	root.SetUsageFunc(rootUsage)
	root.SetVersionTemplate(versionLine() + "\n")
	root.Flags().Bool("version", false, "print the version")
	registerConfig(root)
	root.AddCommand(newGetCommand(u), newExecCommand(u), newBatchCommand(u), newSyncCommand(u), newCacheCommand(u), newVersionCommand(), newManCommand())
	root.AddCommand(newTopics()...)
	root.SetHelpCommand(newHelpCommand())
	help := root.HelpFunc()
	root.SetHelpFunc(func(cmd *cobra.Command, args []string) {
		listFlags(root)
		help(cmd, args)
	})
	return root
}

// applyDefaults sets the flags that were not given: from their variables, else
// from the config file. Commands that only tell about themselves do not read it:
// they must work when it is wrong.
func applyDefaults(cmd *cobra.Command, u *ui) error {
	if err := applyEnvironment(cmd, os.LookupEnv); err != nil || !works(cmd) {
		return err
	}
	settings, err := readConfig(cmd)
	if err != nil || len(settings) == 0 {
		return err
	}
	return applyConfig(cmd, u, settings)
}

// rootUsage lists the commands and topics. Commands without a usage function of
// their own inherit it.
func rootUsage(cmd *cobra.Command) error {
	w := cmd.OutOrStdout()
	fmt.Fprintf(w, "Usage:\n  %s\n", cmd.UseLine())
	if cmd.HasExample() {
		fmt.Fprintf(w, "\nExamples:\n%s\n", cmd.Example)
	}
	list := func(title, path string, wanted func(*cobra.Command) bool) {
		fmt.Fprintf(w, "\n%s:\n", title)
		for _, c := range cmd.Commands() {
			if wanted(c) {
				fmt.Fprintf(w, "  %-20s %s\n", path+c.Name(), c.Short)
			}
		}
	}
	if cmd.HasAvailableSubCommands() {
		list("Commands", cmd.CommandPath()+" ", (*cobra.Command).IsAvailableCommand)
	}
	if cmd.HasHelpSubCommands() {
		list("Help on", "dlm help ", (*cobra.Command).IsAdditionalHelpTopicCommand)
	}
	if flags := cmd.LocalFlags(); flags.HasAvailableFlags() {
		fmt.Fprintf(w, "\nFlags:\n%s", flags.FlagUsagesWrapped(helpWidth))
	}
	return nil
}

func newVersionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), versionLine())
			return err
		},
	}
}

func versionLine() string {
	return fmt.Sprintf("dlm %s (%s, %s/%s)", dlmanager.Version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

// unknownCommand refuses arguments of the bare command. One that is a URL says
// what was meant, and may hold a password.
func unknownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	shown, hint := fmt.Sprintf("%q", args[0]), cmd.CommandPath()+" --help lists the commands"
	if strings.Contains(args[0], "://") {
		shown = dlmanager.RedactURL(args[0])
		hint = "dlm get URL fetches a file"
	} else if similar := cmd.SuggestionsFor(args[0]); len(similar) > 0 {
		hint = "did you mean " + cmd.CommandPath() + " " + similar[0] + "?"
	}
	return &usageError{"there is no command " + shown, hint}
}

func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return &usageError{cmd.CommandPath() + " takes no arguments", "see " + cmd.CommandPath() + " --help"}
}

// newHelpCommand is cobra's, except that an unknown topic is an error.
func newHelpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "help [command or topic]",
		Short: "Help about a command or a topic",
		ValidArgsFunction: func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			var names []string
			for _, c := range cmd.Root().Commands() {
				if len(args) == 0 && !c.Hidden {
					names = append(names, c.Name()+"\t"+c.Short)
				}
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			about, rest, err := cmd.Root().Find(args)
			if err != nil || about == nil || len(rest) > 0 {
				return &usageError{fmt.Sprintf("there is no help on %q", strings.Join(args, " ")), "dlm help lists the commands and topics"}
			}
			return about.Help()
		},
	}
}
