//go:build !linux

package rtmp

// canRest: elsewhere it is not known that sockets which are read at once give what they have.
const canRest = false

func readNow(int, []byte) (n int, over bool) { return 0, true }

func tellFrom(int, int) bool { return false }
