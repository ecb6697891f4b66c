package batch

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Source is a sequence that can be left and gone on with later, in another process
// too. One goroutine uses it at a time.
type Source[T any] interface {
	// Next returns the next item, and io.EOF after the last one. A *LineError is
	// about one item; the next call returns the one behind it. What another error
	// means for the next call is the source's to say.
	Next(ctx context.Context) (T, error)
	// Freeze returns where the source is. The item in hand, the last one that Next
	// returned, comes again after a Thaw: nobody knows whether it was dealt with.
	Freeze() (Frozen, error)
	// Thaw goes on where another source, built in the same way, was frozen. It
	// refuses with ErrUsed, ErrForeign, ErrExpired or ErrCorrupt, and the source is
	// then as it was before.
	Thaw(Frozen) error
	// Magic tells sources apart that are not built in the same way; see [MagicOf].
	Magic() string
}

// Errors of [Source.Thaw], to decide by.
var (
	// ErrUsed is matched when the source has given out items already.
	ErrUsed = errors.New("the source was used already: thaw before the first item")
	// ErrForeign is matched when the state is that of a source built in another
	// way, or of one whose content has changed.
	ErrForeign = errors.New("the state is that of another source")
	// ErrExpired is matched when the state is past its best-before date.
	ErrExpired = errors.New("the state has expired")
	// ErrCorrupt is matched when the state cannot be read.
	ErrCorrupt = errors.New("the state cannot be read")
)

// Frozen is the state of a source, to be stored as JSON. What a source puts into
// it, the cursor of [Pages] say, is there in clear.
type Frozen struct {
	Format     int             `json:"format"` // 1
	Magic      string          `json:"magic"`
	Index      int             `json:"index"` // how many items came before the one in hand
	Position   json.RawMessage `json:"position"`
	BestBefore time.Time       `json:"bestBefore,omitzero"` // zero: it does not expire
}

const frozenFormat = 1

// parseFrozen reads a stored state.
func parseFrozen(text []byte) (Frozen, error) {
	var f Frozen
	if err := json.Unmarshal(text, &f); err != nil {
		return f, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if f.Format != frozenFormat {
		return f, fmt.Errorf("%w: its format is %d, not %d", ErrCorrupt, f.Format, frozenFormat)
	}
	return f, nil
}

// MagicOf returns a hash of what a source, or a job, is made of: its kind and its
// parameters, whatever the order of the map. Values have to be such that
// encoding/json can write them; it panics otherwise.
func MagicOf(kind string, params map[string]any) string {
	text, err := json.Marshal([]any{kind, params}) // sorts the keys
	if err != nil {
		panic(fmt.Sprintf("batch.MagicOf: %v", err))
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:16])
}

// track is what all sources keep of where they are.
type track struct {
	magic  string
	keeps  time.Duration // how long a state is good; 0: for ever
	used   bool
	before int // items before the one in hand
	inHand bool
}

// step is told that an item is given out.
func (t *track) step() {
	if t.inHand {
		t.before++
	}
	t.used, t.inHand = true, true
}

// end is told that the item in hand was the last one.
func (t *track) end() {
	if t.inHand {
		t.before++
	}
	t.inHand = false
}

func (t *track) freeze(position any) (Frozen, error) {
	text, err := json.Marshal(position)
	if err != nil {
		return Frozen{}, err
	}
	f := Frozen{Format: frozenFormat, Magic: t.magic, Index: t.before, Position: text}
	if t.keeps > 0 {
		f.BestBefore = time.Now().Add(t.keeps).UTC()
	}
	return f, nil
}

// thaw checks the state and reads its position.
func (t *track) thaw(f Frozen, position any) error {
	switch {
	case t.used:
		return ErrUsed
	case f.Format != frozenFormat:
		return fmt.Errorf("%w: its format is %d, not %d", ErrCorrupt, f.Format, frozenFormat)
	case f.Magic != t.magic:
		return fmt.Errorf("%w: its magic is %.40q, not %q", ErrForeign, f.Magic, t.magic)
	case !f.BestBefore.IsZero() && time.Now().After(f.BestBefore):
		return fmt.Errorf("%w: it was good until %s", ErrExpired, f.BestBefore.Format(time.RFC3339))
	case f.Index < 0:
		return fmt.Errorf("%w: its index is %d", ErrCorrupt, f.Index)
	}
	if err := json.Unmarshal(f.Position, position); err != nil {
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return nil
}

// thawed is told that the source goes on at the state.
func (t *track) thawed(f Frozen) { t.used, t.before, t.inHand = true, f.Index, false }
