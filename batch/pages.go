package batch

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"time"
)

// PageFunc returns the items of the page that the cursor stands for, and the
// cursor of the next page; "" says that there is none. The cursor of the first page
// is "".
type PageFunc[T any] func(ctx context.Context, cursor string) (items []T, next string, err error)

// Pages is a listing that comes in pages. It ends with the page that has no next
// one, with an empty page, and with a page that was there before, by its cursor or
// its items: some servers send the last page for ever.
//
// An error of the function is returned by Next; the next call asks for the page
// again.
type Pages[T any] struct {
	track
	fetch  PageFunc[T]
	page   []T
	at     int    // the next item of page
	cursor string // of page
	next   string // cursor of the page behind; "" before the first and behind the last
	skip   int    // items of the next page that were dealt with before
	begun  bool
	over   bool
	seen   map[[16]byte]struct{} // hashes of cursors and pages
}

var _ Source[string] = (*Pages[string])(nil)

// cursorPlace is where a listing is.
type cursorPlace struct {
	Cursor string `json:"cursor"`
	At     int    `json:"at"` // the item in hand, within the page
	Over   bool   `json:"over,omitempty"`
}

// NewPages returns a listing. magic tells it apart from others; see [MagicOf].
// States are good for as long as the server's cursors are: keeps, 0 for ever.
func NewPages[T any](fetch PageFunc[T], magic string, keeps time.Duration) *Pages[T] {
	return &Pages[T]{track: track{magic: magic, keeps: keeps}, fetch: fetch, seen: map[[16]byte]struct{}{}}
}

// Magic implements [Source].
func (p *Pages[T]) Magic() string { return p.magic }

// Next implements [Source].
func (p *Pages[T]) Next(ctx context.Context) (item T, err error) {
	for p.at == len(p.page) {
		if p.over || p.begun && p.next == "" {
			p.over = true
			p.end()
			return item, io.EOF
		}
		if err := p.load(ctx, p.next); err != nil {
			return item, err
		}
	}
	item = p.page[p.at]
	p.at++
	p.step()
	return item, nil
}

// load fetches a page.
func (p *Pages[T]) load(ctx context.Context, cursor string) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	page, next, err := p.fetch(ctx, cursor)
	if err != nil {
		return err
	}
	if len(page) == 0 || p.repeats("cursor", cursor) || p.repeats("page", page) {
		p.over = true
		return nil
	}
	p.begun, p.page, p.at, p.cursor, p.next = true, page, min(p.skip, len(page)), cursor, next
	p.skip = 0
	return nil
}

// repeats reports whether the listing had that before. What encoding/json cannot
// write never repeats.
func (p *Pages[T]) repeats(kind string, of any) bool {
	text, err := json.Marshal([]any{kind, of})
	if err != nil {
		return false
	}
	sum := sha256.Sum256(text)
	_, seen := p.seen[[16]byte(sum[:])]
	p.seen[[16]byte(sum[:])] = struct{}{}
	return seen
}

// Freeze implements [Source].
func (p *Pages[T]) Freeze() (Frozen, error) {
	at := p.at + p.skip
	if p.inHand {
		at--
	}
	return p.freeze(cursorPlace{p.cursor, at, p.over})
}

// Thaw implements [Source]. The page is asked for again by the next Next; when it
// has got shorter, what is missing is passed over.
func (p *Pages[T]) Thaw(f Frozen) error {
	var at cursorPlace
	if err := p.thaw(f, &at); err != nil {
		return err
	}
	if at.At < 0 {
		return fmt.Errorf("%w: its place is before the beginning", ErrCorrupt)
	}
	p.thawed(f)
	p.cursor, p.next, p.skip, p.over = at.Cursor, at.Cursor, at.At, at.Over
	return nil
}
