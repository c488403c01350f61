package rtmp

import (
	"syscall"
	"unsafe"
)

const canRest = true

// readNow is recv(2) without waiting; n is 0 if there is nothing. over says that the socket has
// ended or failed. The scheduler is not told of the call, which takes some microseconds.
func readNow(fd int, p []byte) (n int, over bool) {
	if len(p) == 0 {
		return 0, true
	}
	for {
		n, _, errno := syscall.RawSyscall6(syscall.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)),
			syscall.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
			return int(n), n == 0
		case syscall.EINTR:
		case syscall.EAGAIN:
			return 0, false
		default:
			return 0, true
		}
	}
}

// tellFrom has pollers hear of a socket when it has so many bytes (tcp(7), SO_RCVLOWAT), or is at
// its end.
func tellFrom(fd, n int) bool {
	return syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_RCVLOWAT, n) == nil
}
