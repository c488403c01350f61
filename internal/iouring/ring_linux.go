package iouring

import (
	"runtime"
	"sync/atomic"
	"syscall"
	"unsafe"
)

// Ring is an io_uring that sends bytes to many sockets with one system call. One goroutine at a
// time may use it. All its sends are of the kind that does not wait, so that the call returns when
// each of them is done: nothing is ever under way afterwards. U is what the user knows sends by.
type Ring[U any] struct {
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
	sends   [Size]Send[U] // what is queued, kept from the collector
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

// New fails where io_uring is not allowed, as in many containers, or not known.
func New[U any]() (*Ring[U], error) {
	var p ringParams
	fd, _, errno := syscall.Syscall(sysSetup, Size, uintptr(unsafe.Pointer(&p)), 0)
	if errno != 0 {
		return nil, errno
	}
	syscall.CloseOnExec(int(fd))
	r := &Ring[U]{fd: int(fd)}
	err := r.mapMemory(&p)
	if p.features&featSkip == 0 {
		err = syscall.ENOSYS
	}
	if err == nil {
		_, err = r.enter(0, 0) // may be forbidden though setting up is not
	}
	if err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

func (r *Ring[U]) mapMemory(p *ringParams) (err error) {
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

// Close gives its memory back.
func (r *Ring[U]) Close() {
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

// Add queues the send of b to a descriptor, which must not be closed before Flush. The ring is full
// afterwards if it returns true.
func (r *Ring[U]) Add(user U, fd int, b []byte) (full bool) {
	i := r.queued
	r.sends[i] = Send[U]{User: user, Bytes: b}
	tail := *r.sqTail + uint32(i)
	r.entries[tail&r.mask] = submission{
		op: opSend, fd: int32(fd), addr: uint64(uintptr(unsafe.Pointer(unsafe.SliceData(b)))), length: uint32(len(b)),
		msgFlags: syscall.MSG_DONTWAIT | syscall.MSG_NOSIGNAL, user: uint64(i),
	}
	r.array[tail&r.mask] = tail & r.mask
	r.queued++
	return r.queued == Size
}

// Flush sends what is queued and returns it with the results, which hold until the next Add. If the
// system takes no more, what is left counts as not sent.
func (r *Ring[U]) Flush() []Send[U] {
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
func (r *Ring[U]) enter(submit, results int) (taken int, err error) {
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
func (r *Ring[U]) reap() (n int) {
	head, tail := *r.cqHead, atomic.LoadUint32(r.cqTail)
	for ; head != tail; head++ {
		c := &r.results[head&r.cqMask]
		r.sends[c.user].N = int(max(c.res, 0))
		n++
	}
	atomic.StoreUint32(r.cqHead, head)
	return n
}
