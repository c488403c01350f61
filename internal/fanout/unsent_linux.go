package fanout

import "syscall"

const (
	// tcpNotsentLowat is TCP_NOTSENT_LOWAT of linux/tcp.h, which package syscall does not name.
	tcpNotsentLowat = 25
	// maxUnsent bounds, in bytes, what the kernel takes beyond what is on its way: a player's lag
	// has to show in the log. Without it a stopped reader swallows megabytes first.
	maxUnsent = 256 << 10
)

func limitUnsent(raw syscall.RawConn) {
	_ = raw.Control(func(fd uintptr) {
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpNotsentLowat, maxUnsent)
	})
}
