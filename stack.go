package dlmanager

// stackNeed is more than half of what a download's calls take of its stack, in bytes:
// net/http and the file system below it lie deep. Stacks have sizes that are powers of
// two.
const stackNeed = 8 << 10

// growStack makes the goroutine's stack large enough for what is to come, at once and
// while there is little on it. It would grow all the same, by doubling two or three
// times, and each time all that lies on it by then is copied and adjusted: some 6 µs
// a download. at is 0, which the compiler does not know: the room is there, and not
// cleared.
//
//go:noinline
func growStack(at int) byte {
	if at == 0 {
		return 0
	}
	var room [stackNeed]byte
	return room[at]
}
