package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"github.com/dlmanager/dlmanager"
)

func newManCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "man DIR",
		Short:   "Write the manual pages into a directory",
		Long:    "Write the manual pages of all commands and help topics into DIR, which is made if it is not there.",
		Example: "  dlm man ~/.local/share/man/man1",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return &usageError{"dlm man takes one directory", "see dlm man --help"}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return writeManual(cmd.Root(), args[0])
		},
	}
}

// writeManual writes a page for each command and topic.
func writeManual(root *cobra.Command, dir string) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	listFlags(root)
	root.DisableAutoGenTag = true // the same program writes the same pages
	return writePages(root, dir)
}

// writePages writes the pages of cmd and of the commands below it.
func writePages(cmd *cobra.Command, dir string) error {
	page := strings.ReplaceAll(cmd.CommandPath(), " ", "-")
	if err := writePage(cmd, page, filepath.Join(dir, page+".1")); err != nil {
		return err
	}
	for _, sub := range cmd.Commands() {
		if sub.Hidden || sub.Name() == "help" || sub.Name() == "completion" {
			continue
		}
		if err := writePages(sub, dir); err != nil {
			return err
		}
	}
	return nil
}

func writePage(cmd *cobra.Command, page, file string) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	header := &doc.GenManHeader{
		Title: strings.ToUpper(page), Section: "1",
		Source: "dlm " + dlmanager.Version, Manual: "dlm manual",
	}
	return errors.Join(doc.GenMan(cmd, header, f), f.Close())
}
