package http1

import (
	"math"
	"net/http"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"livego/internal/iouring"
)

const (
	// maxEvents is how many connections a loop looks at before it looks at its clock again.
	maxEvents = 256
	// leastExpiry is the least time between two looks at all deadlines.
	leastExpiry = 50 * time.Millisecond
	// breath is the time between two turns of connections that have more to do at once, as with
	// requests that come without end, and maxTurns how many have one: live delivery beside the loop
	// needs the processor too. As many long answers go out at once; the others take turns, so that
	// what is short need not wait for all that many clients want.
	breath   = time.Millisecond
	maxTurns = 16
	// waveTime is for how long those who waited for the same are answered before it is looked for
	// what others want, waveLook after how many the clock is read.
	waveTime = 20 * time.Millisecond
	waveLook = 16
	// never is a deadline that does not come.
	never = time.Duration(math.MaxInt64)

	readiness = syscall.EPOLLIN | syscall.EPOLLOUT | syscall.EPOLLRDHUP | 1<<31 // edges only (EPOLLET)
)

// loop serves connections in one goroutine, the only one that touches what is not guarded.
type loop struct {
	server *Server
	// poll is the epoll instance, which the runtime's own poller waits for; fd its descriptor, wake
	// that of an eventfd in it.
	poll     *os.File
	raw      syscall.RawConn
	fd, wake int
	events   [maxEvents]syscall.EpollEvent
	// begun is when the loop began: its times count from there. now is the present one.
	begun time.Time
	now   time.Duration
	// next is when a deadline passes, timer for when the poll has its deadline.
	next, timer time.Duration

	conns []*conn
	byFD  map[int32]*conn
	// ready are the connections with something to do that no event will tell of.
	ready, spare []*conn
	// attended is when they had their turn last. long counts the long answers that went out since
	// the loop looked for events, or gave turns.
	attended time.Duration
	long     int
	waits    map[<-chan struct{}]*waitList

	heads    heads
	response response
	scratch  [maxHead]byte
	out      []byte
	vector   []syscall.Iovec
	// text is what is to be encrypted next, buffers are free ones for what was.
	text    []byte
	buffers [][]byte
	// ring sends to many at once what they waited for, queued bytes so far; nil: one after the
	// other. shared are the answers to those who waited for the same.
	ring   *iouring.Ring[*conn]
	queued int
	shared map[question]*shared
	// touched are connections of HTTP/2 that may have something to send.
	touched, tended []*conn
	// resuming: those who waited are being answered. waves are all who are to be, waveTime is for
	// how long at a time.
	resuming bool
	waves    []*wave
	waveTime time.Duration

	draining, over bool
	empty          chan struct{} // closed when a loop that drains has no connection any more
	stop           chan struct{}
	done           chan struct{}
	watchers       sync.WaitGroup
	// tasksDone waits for requests over HTTP/2 that are answered in goroutines.
	tasksDone sync.WaitGroup

	mu     sync.Mutex
	inbox  []func()
	woken  bool
	closed bool
}

func newLoop(s *Server) (*loop, error) {
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	l := &loop{
		server: s, fd: fd, begun: time.Now(), next: never, timer: never, byFD: make(map[int32]*conn), waits: make(map[<-chan struct{}]*waitList),
		waveTime: waveTime,
		empty:    make(chan struct{}), stop: make(chan struct{}), done: make(chan struct{}),
	}
	_ = syscall.SetNonblock(fd, true) // tells os.NewFile to let the runtime wait for it
	l.poll = os.NewFile(uintptr(fd), "epoll")
	l.raw, err = l.poll.SyscallConn()
	if err == nil {
		err = l.poll.SetReadDeadline(time.Time{}) // fails where the runtime does not wait for it
	}
	if err == nil {
		l.wake, err = eventFD()
	}
	if err != nil {
		_ = l.poll.Close()
		return nil, err
	}
	if err := syscall.EpollCtl(fd, syscall.EPOLL_CTL_ADD, l.wake, &syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(l.wake)}); err != nil {
		l.release()
		return nil, err
	}
	if s.opt.Rings {
		l.ring, _ = iouring.New[*conn]() // nil where that is not to be had
	}
	return l, nil
}

func eventFD() (int, error) {
	fd, _, errno := syscall.RawSyscall(syscall.SYS_EVENTFD2, 0, syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if errno != 0 {
		return -1, errno
	}
	return int(fd), nil
}

func (l *loop) release() {
	if l.ring != nil {
		l.ring.Close()
	}
	_ = syscall.Close(l.wake)
	_ = l.poll.Close()
}

// post has f run in the loop. It is false if the loop has ended. From any goroutine.
func (l *loop) post(f func()) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	l.inbox = append(l.inbox, f)
	if !l.woken {
		l.woken = true
		one := [8]byte{1}
		_, _, _ = syscall.RawSyscall(syscall.SYS_WRITE, uintptr(l.wake), uintptr(unsafe.Pointer(&one)), 8)
	}
	return true
}

// end ends the loop and waits for it.
func (l *loop) end() {
	l.post(func() { l.over = true })
	<-l.done
}

// drain lets no connection begin anything more.
func (l *loop) drain() {
	l.draining = true
	for _, c := range slices.Clone(l.conns) {
		if c.two != nil {
			c.two.leave()
			continue
		}
		if c.state == reading && len(c.buf) == 0 && !c.readable {
			c.close()
		}
	}
	l.tend()
	l.checkEmpty()
}

func (l *loop) checkEmpty() {
	if l.draining && len(l.conns) == 0 {
		select {
		case <-l.empty:
		default:
			close(l.empty)
		}
	}
}

func (l *loop) run() {
	defer close(l.done)
	for !l.over {
		n := l.await()
		l.now, l.long = time.Since(l.begun), 0
		for i := range l.events[:n] {
			e := &l.events[i]
			if int(e.Fd) == l.wake {
				l.tasks()
			} else if c := l.byFD[e.Fd]; c != nil {
				c.event(e.Events)
			}
		}
		l.attend()
		l.answerWaves()
		l.tend()
		if l.now >= l.next && n < maxEvents { // nobody is late whose bytes are there
			l.expire()
			l.tend()
		}
	}
	l.shut()
}

// shut closes everything.
func (l *loop) shut() {
	l.mu.Lock()
	l.closed = true
	rest := l.inbox
	l.inbox = nil
	l.mu.Unlock()
	for _, f := range rest { // connections that are to be closed too
		f()
	}
	for _, c := range slices.Clone(l.conns) {
		c.close()
	}
	l.draining = true
	l.checkEmpty()
	close(l.stop)
	l.watchers.Wait()
	l.tasksDone.Wait()
	l.release()
}

// await waits for events and returns how many there are.
func (l *loop) await() (n int) {
	until := l.next
	if len(l.waves) > 0 {
		return l.look()
	}
	if len(l.ready) > 0 {
		if l.now >= l.attended+breath {
			return l.look()
		}
		until = min(until, l.attended+breath)
	}
	if l.timer != until {
		l.timer = until
		at := time.Time{}
		if until != never {
			at = l.begun.Add(until)
		}
		_ = l.poll.SetReadDeadline(at)
	}
	_ = l.raw.Read(func(uintptr) bool { // its error is the deadline
		n = l.look()
		return n > 0
	})
	if n == 0 {
		l.timer = never - 1 // has passed: it is to be set anew
		n = l.look()        // this process may have stood still meanwhile
	}
	return n
}

// look asks for events without waiting.
func (l *loop) look() int {
	n, _, errno := syscall.RawSyscall6(syscall.SYS_EPOLL_PWAIT, uintptr(l.fd), uintptr(unsafe.Pointer(&l.events)), maxEvents, 0, 0, 0)
	if errno != 0 {
		return 0
	}
	return int(n)
}

// tasks runs what was posted.
func (l *loop) tasks() {
	var b [8]byte
	l.mu.Lock()
	_, _, _ = syscall.RawSyscall(syscall.SYS_READ, uintptr(l.wake), uintptr(unsafe.Pointer(&b)), 8)
	tasks := l.inbox
	l.inbox, l.woken = nil, false
	l.mu.Unlock()
	for _, f := range tasks {
		f()
	}
}

// attend goes on with connections of which no event will tell, one step each.
func (l *loop) attend() {
	if len(l.ready) == 0 || l.now < l.attended+breath {
		return
	}
	l.attended, l.long = l.now, 0
	ready, turns := l.ready, min(len(l.ready), maxTurns)
	l.ready = append(l.spare[:0], ready[turns:]...)
	for _, c := range ready[:turns] {
		c.queued = false
		c.goOn()
	}
	clear(ready)
	l.spare = ready[:0]
}

// expire looks at all deadlines.
func (l *loop) expire() {
	l.next = never
	for _, c := range slices.Clone(l.conns) {
		if c.deadline <= l.now {
			c.expire()
		}
		if c.state != away {
			l.next = min(l.next, c.deadline)
		}
	}
	l.next = max(l.next, l.now+leastExpiry)
}

// due notes a deadline.
func (l *loop) due(at time.Duration) { l.next = min(l.next, at) }

// wall is the time of day.
func (l *loop) wall() time.Time { return l.begun.Add(l.now) }

// maxQueued bounds what is sent at once, in bytes: the processor has no time for others meanwhile.
const maxQueued = 512 << 10

// enqueue has b sent to a connection, together with others.
func (l *loop) enqueue(c *conn, b []byte) {
	if l.ring == nil {
		c.settle(b, 0)
		return
	}
	if l.queued += len(b); l.ring.Add(c, int(c.fd), b) || l.queued > maxQueued {
		l.flush()
	}
}

// flush sends what is queued.
func (l *loop) flush() {
	if l.ring == nil || l.queued == 0 {
		return
	}
	l.queued = 0
	sends := l.ring.Flush()
	for i := range sends {
		s := &sends[i]
		s.User.settle(s.Bytes, s.N)
		*s = iouring.Send[*conn]{}
	}
}

// call has the handler answer, and says whether it came back.
func (l *loop) call(r *http.Request) (ok bool) {
	defer func() {
		if v := recover(); v != nil {
			ok = false
			if v != http.ErrAbortHandler && l.server.opt.Panicked != nil {
				l.server.opt.Panicked(r, v)
			}
		}
	}()
	l.server.opt.Handler.ServeHTTP(&l.response, r)
	return true
}
