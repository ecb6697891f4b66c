package main

import (
	"bytes"
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"path/filepath"

	"github.com/pelletier/go-toml/v2"
	"github.com/spf13/cobra"
)

// The config file holds a person's own defaults of flags. It is TOML: keys at the
// top are settings, one for each flag that can be one; sections are about hosts. Other
// tables are refused, and so free to get a meaning.

// noConfig is the value of --config that reads no file.
const noConfig = "none"

// setting is one key of the file and its value.
type setting struct {
	key   string
	value any
	path  []string // of the table, if it is one
	file  string
	line  int
}

// source is what stands for the setting in messages.
func (s setting) source() string { return fmt.Sprintf("%s:%d: %s", s.file, s.line, s.key) }

// registerConfig defines --config for all commands.
func registerConfig(root *cobra.Command) {
	root.PersistentFlags().String("config", "", "read defaults of flags from `FILE`; none: from no file (default: dlm/config.toml in the user's config directory)")
}

// readConfig reads the file that the command's --config names, or the one in the
// user's config directory, if it is there.
func readConfig(cmd *cobra.Command) ([]setting, error) {
	file := cmd.Flag("config").Value.String()
	if file == noConfig {
		return nil, nil
	}
	named := file != ""
	if !named {
		base, err := os.UserConfigDir()
		if err != nil {
			return nil, nil // a service without a home
		}
		file = filepath.Join(base, "dlm", "config.toml")
	}
	text, err := readSettings(file)
	switch {
	case errors.Is(err, iofs.ErrNotExist) && !named:
		return nil, nil
	case err != nil:
		problem := &usageError{text: "config file: " + err.Error(), hint: "mend the file, or do without it: --config none"}
		if named {
			problem.text = given(cmd.Flags(), "config") + ": " + err.Error()
		}
		return nil, problem
	}
	if file, err = filepath.Abs(file); err != nil {
		return nil, err
	}
	return parseConfig(file, text)
}

// maxConfig is far beyond what people write, and keeps a mistaken path from being
// read for ever.
const maxConfig = 1 << 20

// readSettings reads the file. It opens no pipe, which may wait for its other end
// for ever.
func readSettings(file string) ([]byte, error) {
	fi, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	if !fi.Mode().IsRegular() || fi.Size() > maxConfig {
		return nil, fmt.Errorf("%s is not a regular file of a sensible size", file)
	}
	return os.ReadFile(file)
}

// byteOrderMark is what editors on Windows put first.
var byteOrderMark = []byte("\xef\xbb\xbf")

// parseConfig returns the settings in the order of their lines. Nothing of their
// values gets into an error of the syntax.
func parseConfig(file string, text []byte) ([]setting, error) {
	text = bytes.TrimPrefix(text, byteOrderMark)
	values := map[string]any{}
	if err := toml.Unmarshal(text, &values); err != nil {
		if bad, ok := errors.AsType[*toml.DecodeError](err); ok {
			line, _ := bad.Position()
			return nil, &usageError{text: fmt.Sprintf("%s:%d: %v", file, line, err)}
		}
		return nil, &usageError{text: file + ": " + err.Error()}
	}
	var settings []setting
	for _, at := range keysOf(text) {
		line, _ := at.Position()
		key := at.Key()
		settings = append(settings, setting{key[0], values[key[0]], key, file, line})
	}
	return settings, nil
}

// keysOf says where the keys are: a strict decoder reports all that nothing takes.
func keysOf(text []byte) []toml.DecodeError {
	err := toml.NewDecoder(bytes.NewReader(text)).DisallowUnknownFields().Decode(&struct{}{})
	if all, ok := errors.AsType[*toml.StrictMissingError](err); ok {
		return all.Errors
	}
	return nil
}
