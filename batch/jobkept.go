package batch

// maxKept is how many links are kept, and maxKeptText how long their lines may be
// together: some 5 MiB of memory at most lists' length of a line.
const (
	maxKept     = 1 << 14
	maxKeptText = 4 << 20
)

// keptLinks are links that were read from a list and wait for their turn. What the
// first ones of a list are need not be made out again when it comes, if their lines
// are still the same.
type keptLinks struct {
	first uint32 // index of the first
	links []keptLink
	left  int // that were not dropped
	size  int // of the lines, also of those that were
}

type keptLink struct {
	link Link
	name string // in the cache
	text string // of its line; "": it was dropped
}

// add keeps the link with an index, if it is behind the others and there is room.
func (k *keptLinks) add(index uint32, link keptLink) {
	if k.left == 0 {
		*k = keptLinks{first: index}
	}
	at := int(index) - int(k.first)
	if at < len(k.links) || at >= maxKept || k.size+len(link.text) > maxKeptText {
		return
	}
	for len(k.links) < at { // bad ones
		k.links = append(k.links, keptLink{})
	}
	k.links = append(k.links, link)
	k.left++
	k.size += len(link.text)
}

// get returns the link with an index; nil: it is not kept.
func (k *keptLinks) get(index uint32) *keptLink {
	at := int(index) - int(k.first)
	if at < 0 || at >= len(k.links) || k.links[at].text == "" {
		return nil
	}
	return &k.links[at]
}

// drop keeps the link with an index no longer.
func (k *keptLinks) drop(index uint32) {
	link := k.get(index)
	if link == nil {
		return
	}
	*link = keptLink{}
	if k.left--; k.left == 0 {
		k.links = nil
	}
}
