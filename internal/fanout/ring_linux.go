package fanout

import (
	"runtime"
	"sync/atomic"
	"syscall"
	"unsafe"
)

// ring is an io_uring that sends many players' bytes with one system call. One goroutine at a time
// may use it. All its sends are of the kind that does not wait, so that the call returns when each
// of them is done: nothing is ever under way afterwards.
type ring struct {
	fd      int
	sq, cq  []byte
	entries []submission
	mask    uint32
	sqTail  *uint32
	array   []uint32
	cqHead  *uint32
	cqTail  *uint32
	cqMask  uint32
	results []completion
	queued  int
	sends   [ringSize]send // what is queued, kept from the collector
}

// ringSize is how many sends go with one system call. The scheduler does not hear of the call, so
// it must not take long: a few hundred microseconds.
const ringSize = 64

// send is one send and how many bytes of it were taken: none also if it failed.
type send struct {
	p *Player
	b []byte
	n int
}

// Of io_uring's interface (linux/io_uring.h), version of Linux 5.6 (send).
const (
	sysSetup, sysEnter               = 425, 426
	offSubmissions, offEntries       = 0, 0x10000000
	offCompletions                   = 0x8000000
	opSend                     uint8 = 26
	enterGetEvents                   = 1
	// featSkip came with Linux 5.17: before 5.12 a send that must not wait could wait all the same.
	featSkip = 1 << 11
)

type ringParams struct {
	sqEntries, cqEntries, flags, cpu, idle, features, wq uint32
	_                                                    [3]uint32
	sqOff                                                struct {
		head, tail, mask, entries, flags, dropped, array, _ uint32
		_                                                   uint64
	}
	cqOff struct {
		head, tail, mask, entries, overflow, cqes, flags, _ uint32
		_                                                   uint64
	}
}

type submission struct {
	op, flags uint8
	_         uint16
	fd        int32
	_         uint64
	addr      uint64
	length    uint32
	msgFlags  uint32
	user      uint64
	_         [3]uint64
}

type completion struct {
	user  uint64
	res   int32
	flags uint32
}

// newRing fails where io_uring is not allowed, as in many containers, or not known.
func newRing() (*ring, error) {
	var p ringParams
	fd, _, errno := syscall.Syscall(sysSetup, ringSize, uintptr(unsafe.Pointer(&p)), 0)
	if errno != 0 {
		return nil, errno
	}
	syscall.CloseOnExec(int(fd))
	r := &ring{fd: int(fd)}
	err := r.mapMemory(&p)
	if p.features&featSkip == 0 {
		err = syscall.ENOSYS
	}
	if err == nil {
		_, err = r.enter(0, 0) // may be forbidden though setting up is not
	}
	if err != nil {
		r.close()
		return nil, err
	}
	return r, nil
}

func (r *ring) mapMemory(p *ringParams) (err error) {
	const access, kind = syscall.PROT_READ | syscall.PROT_WRITE, syscall.MAP_SHARED | syscall.MAP_POPULATE
	r.sq, err = syscall.Mmap(r.fd, offSubmissions, int(p.sqOff.array+p.sqEntries*4), access, kind)
	if err != nil {
		return err
	}
	r.cq, err = syscall.Mmap(r.fd, offCompletions, int(p.cqOff.cqes)+int(p.cqEntries)*int(unsafe.Sizeof(completion{})), access, kind)
	if err != nil {
		return err
	}
	entries, err := syscall.Mmap(r.fd, offEntries, int(p.sqEntries)*int(unsafe.Sizeof(submission{})), access, kind)
	if err != nil {
		return err
	}
	r.entries = unsafe.Slice((*submission)(unsafe.Pointer(&entries[0])), p.sqEntries)
	at := func(b []byte, off uint32) *uint32 { return (*uint32)(unsafe.Pointer(&b[off])) }
	r.mask, r.sqTail = *at(r.sq, p.sqOff.mask), at(r.sq, p.sqOff.tail)
	r.array = unsafe.Slice(at(r.sq, p.sqOff.array), p.sqEntries)
	r.cqMask, r.cqHead, r.cqTail = *at(r.cq, p.cqOff.mask), at(r.cq, p.cqOff.head), at(r.cq, p.cqOff.tail)
	r.results = unsafe.Slice((*completion)(unsafe.Pointer(&r.cq[p.cqOff.cqes])), p.cqEntries)
	return nil
}

func (r *ring) close() {
	for _, m := range [][]byte{r.sq, r.cq} {
		if m != nil {
			_ = syscall.Munmap(m)
		}
	}
	if r.entries != nil {
		b := unsafe.Slice((*byte)(unsafe.Pointer(&r.entries[0])), len(r.entries)*int(unsafe.Sizeof(submission{})))
		_ = syscall.Munmap(b)
	}
	_ = syscall.Close(r.fd)
}

// add queues the send of b to p. The ring is full afterwards if it returns true.
func (r *ring) add(p *Player, fd int, b []byte) (full bool) {
	i := r.queued
	r.sends[i] = send{p: p, b: b}
	tail := *r.sqTail + uint32(i)
	r.entries[tail&r.mask] = submission{
		op: opSend, fd: int32(fd), addr: uint64(uintptr(unsafe.Pointer(unsafe.SliceData(b)))), length: uint32(len(b)),
		msgFlags: syscall.MSG_DONTWAIT | syscall.MSG_NOSIGNAL, user: uint64(i),
	}
	r.array[tail&r.mask] = tail & r.mask
	r.queued++
	return r.queued == ringSize
}

// flush sends what is queued and returns it with the results, which hold until the next add. If the
// system takes no more, what is left counts as not sent.
func (r *ring) flush() []send {
	n := r.queued
	r.queued = 0
	atomic.StoreUint32(r.sqTail, *r.sqTail+uint32(n))
	submit, done := n, 0
	for done < n {
		k, err := r.enter(submit, n-done)
		submit -= min(k, submit)
		done += r.reap()
		if err != nil && done == n-submit {
			atomic.StoreUint32(r.sqTail, *r.sqTail-uint32(submit)) // takes back what was not looked at
			break
		}
	}
	runtime.KeepAlive(r)
	return r.sends[:n]
}

// enter hands over so many sends and waits for so many results.
func (r *ring) enter(submit, results int) (taken int, err error) {
	for {
		n, _, errno := syscall.RawSyscall6(sysEnter, uintptr(r.fd), uintptr(submit), uintptr(results), enterGetEvents, 0, 0)
		switch errno {
		case 0:
			return int(n), nil
		case syscall.EINTR:
		default:
			return 0, errno
		}
	}
}

// reap takes the results that are there.
func (r *ring) reap() (n int) {
	head, tail := *r.cqHead, atomic.LoadUint32(r.cqTail)
	for ; head != tail; head++ {
		c := &r.results[head&r.cqMask]
		r.sends[c.user].n = int(max(c.res, 0))
		n++
	}
	atomic.StoreUint32(r.cqHead, head)
	return n
}
