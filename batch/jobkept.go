package batch

// maxKept is how many links are kept, and maxKeptText how long their lines may be
// together: some 6 MiB of memory at most lists' length of a line.
const (
	maxKept     = 1 << 14
	maxKeptText = 4 << 20
)

// keptLinks are links that were read from a list and wait for their turn. What the
// next ones of a list are need not be made out again when it comes, if their lines
// are still the same.
type keptLinks struct {
	groups map[uint32]*keptGroup // by the index of their first, over groupSize
	left   int                   // that were not dropped
	size   int                   // of their lines
	spare  *keptGroup            // all of whose links were dropped; nil: none
}

// keptGroup is links with indices one after the other: so what is kept need not be
// copied when there is more, and goes when the last of them had its turn.
type keptGroup struct {
	links [groupSize]keptLink
	left  int
}

const groupSize = 1 << 8

type keptLink struct {
	link Link
	name string // in the cache
	text string // of its line; "": it is not kept
}

// add keeps the link with an index if there is room.
func (k *keptLinks) add(index uint32, link keptLink) {
	g := k.groups[index/groupSize]
	if g == nil && len(k.groups) >= maxKept/groupSize || k.size+len(link.text) > maxKeptText {
		return
	}
	if g == nil {
		g, k.spare = k.spare, nil
		if g == nil {
			g = new(keptGroup)
		}
		if k.groups == nil {
			k.groups = map[uint32]*keptGroup{}
		}
		k.groups[index/groupSize] = g
	}
	g.links[index%groupSize] = link
	g.left++
	k.left++
	k.size += len(link.text)
}

// get returns the link with an index; nil: it is not kept.
func (k *keptLinks) get(index uint32) *keptLink {
	g := k.groups[index/groupSize]
	if g == nil || g.links[index%groupSize].text == "" {
		return nil
	}
	return &g.links[index%groupSize]
}

// drop keeps the link with an index no longer.
func (k *keptLinks) drop(index uint32) {
	link := k.get(index)
	if link == nil {
		return
	}
	g := k.groups[index/groupSize]
	k.left--
	k.size -= len(link.text)
	*link = keptLink{}
	if g.left--; g.left == 0 {
		delete(k.groups, index/groupSize)
		k.spare = nil
		if k.left > 0 { // more is likely to come
			k.spare = g
		}
	}
}
