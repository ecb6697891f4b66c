package dlmanager

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"os"

	"github.com/dlmanager/dlmanager/internal/transfer"
)

// recordFormat is the version of the record. What has another one is ignored.
const recordFormat = 1

// record is what is noted beside the partial file of an unfinished download, so
// that another process can go on. It says what the file holds as far as that can
// be trusted, and holds no secret. A record is a hint: one that cannot be read,
// or does not fit its file, costs a download from the beginning.
type record struct {
	URL      string           `json:"url"`      // without secrets
	Identity string           `json:"identity"` // hash of the URL
	Mode     os.FileMode      `json:"mode"`     // that the file was made with
	Size     int64            `json:"size"`     // of the partial file; -1: it grows with what is stored
	Head     transfer.Head    `json:"head"`     // of the answer that the bytes are from
	From     transfer.Source  `json:"from"`
	Ranges   []transfer.Range `json:"ranges"` // what is stored, as long as the machine has not been restarted
	Synced   []transfer.Range `json:"synced"` // what was flushed to the disk
	Boot     string           `json:"boot"`   // when that was; "": unknown
	PID      int              `json:"pid"`    // of the process at work
	Beat     int              `json:"beat"`   // counts the process's signs of life
}

// sealed is a record as it is written, with what tells a torn one.
type sealed struct {
	Format  int             `json:"format"`
	CRC32C  string          `json:"crc32c"` // of the bytes of Partial
	Partial json.RawMessage `json:"partial"`
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func (r record) encode() []byte {
	inner, err := json.Marshal(r)
	if err != nil { // numbers and strings only
		panic(fmt.Sprintf("record: %v", err))
	}
	outer, err := json.Marshal(sealed{recordFormat, checksum(inner), inner})
	if err != nil {
		panic(fmt.Sprintf("record: %v", err))
	}
	return append(outer, '\n')
}

func checksum(b []byte) string { return fmt.Sprintf("%08x", crc32.Checksum(b, castagnoli)) }

// parseRecord reads a record. One that is torn, foreign or of another version is
// none.
func parseRecord(text []byte) (record, bool) {
	var outer sealed
	var r record
	if json.Unmarshal(text, &outer) != nil || outer.Format != recordFormat ||
		outer.CRC32C != checksum(outer.Partial) || json.Unmarshal(outer.Partial, &r) != nil {
		return record{}, false
	}
	return r, r.isSound()
}

// isSound reports whether the figures can be those of one file.
func (r record) isSound() bool {
	if r.Head.Exact && r.Head.Total < 0 || r.Size < -1 {
		return false
	}
	for _, list := range [][]transfer.Range{r.Ranges, r.Synced} {
		var end int64
		for _, s := range list {
			if s.From < end || s.To <= s.From || r.Head.Exact && s.To > r.Head.Total || r.Size >= 0 && s.To > r.Size {
				return false
			}
			end = s.To
		}
	}
	return true
}

// kept is what a record allows to go on from.
type kept struct {
	result transfer.Result
	size   int64            // of the partial file
	synced []transfer.Range // of it, what outlasts a power loss
	// unproven says that the machine may have been restarted since: what is on the
	// disk has to be held against its CRC.
	unproven bool
}

// keptOf returns what a partial file of size bytes holds according to the
// record, in a machine that was started at boot.
func (r record) keptOf(size int64, boot string) (kept, bool) {
	k := kept{size: size, synced: r.Synced, unproven: boot == "" || r.Boot != boot}
	k.result = transfer.Result{Head: r.Head, From: r.From}.WithRanges(r.Ranges)
	last := max(endOf(r.Ranges), endOf(r.Synced))
	if k.result.N == 0 && !(k.unproven && len(r.Synced) > 0) || r.Size >= 0 && size != r.Size || size < last {
		return kept{}, false
	}
	return k, true
}

func endOf(list []transfer.Range) int64 {
	if len(list) == 0 {
		return 0
	}
	return list[len(list)-1].To
}

func hexIdentity(id [16]byte) string { return hex.EncodeToString(id[:]) }
