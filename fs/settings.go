package fs

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
)

// limitKey names the directory's own size limit, in bytes, in its settings.
const limitKey = "sizeLimit"

// SizeLimit returns the directory's own limit in bytes, 0 if it has none, as it
// was read last.
func (d *Dir) SizeLimit() int64 { return d.limit.Load() }

// SetSizeLimit changes the directory's own limit for all who follow it. 0 or less:
// none.
func (d *Dir) SetSizeLimit(bytes int64) error {
	if !d.marked {
		return &NotCacheDirError{Dir: d.path}
	}
	if err := d.writeSizeLimit(max(bytes, 0)); err != nil {
		return err
	}
	d.counter.change(func(l *ledger) { l.limits++ })
	return nil
}

// ReadSizeLimit reads the directory's own limit again: somebody may have changed it.
func (d *Dir) ReadSizeLimit() (int64, error) {
	err := d.readConfig()
	return d.SizeLimit(), err
}

func (d *Dir) readConfig() error {
	settings, err := d.readSettings()
	if err != nil {
		return fmt.Errorf("%s: %w: mend it, or remove it to go without a limit of the directory's own", d.Path(configFile), err)
	}
	var bytes int64
	if text, ok := settings[limitKey]; ok {
		if err := json.Unmarshal(text, &bytes); err != nil {
			return fmt.Errorf("%s: %s: %w: mend it, or remove it to go without a limit of the directory's own", d.Path(configFile), limitKey, err)
		}
	}
	d.limit.Store(bytes)
	return nil
}

// readSettings returns all settings, also those that a newer program made.
func (d *Dir) readSettings() (map[string]json.RawMessage, error) {
	settings := map[string]json.RawMessage{}
	text, err := d.readOwn(configFile)
	if errors.Is(err, os.ErrNotExist) {
		return settings, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &settings)
	}
	return settings, err
}

func (d *Dir) writeSizeLimit(bytes int64) error {
	settings, err := d.readSettings()
	if err != nil || settings == nil {
		settings = map[string]json.RawMessage{} // nobody could read the old ones, either
	}
	delete(settings, limitKey)
	if bytes > 0 {
		settings[limitKey] = json.RawMessage(fmt.Sprint(bytes))
	}
	text, err := json.MarshalIndent(settings, "", "\t")
	if err != nil {
		return err
	}
	if err := d.writeOwn(configFile, append(text, '\n')); err != nil {
		return err
	}
	d.limit.Store(bytes)
	return nil
}
