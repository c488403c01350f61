// Package spool keeps media segments of HLS renditions on disk, so that viewers can rewind further
// than memory reaches, also over a restart of the server.
//
// Packagers hand over segments and never wait: one goroutine of the Store writes and removes files.
// What it could not write in time becomes a gap (EXT-X-GAP). Who lists segments reads a Window, an
// immutable view whose making costs the same for a minute and for a day.
//
// On disk each rendition has a folder:
//
//	{Dir}/s-{stream}/r-{rendition}/{seq}.m4s   a media segment
//	                              /{seq}.mp4   an init segment, by the number of the first segment that needs it
//	                              /{seq}.idx   an index: records of segments, appended, from segment seq on
//
//	{Dir}/s-{stream}/reserved                  a record, twice: before which number all may be used
//	{Dir}/lock                                 locked as long as a Store uses the folder
//
// A segment is a file, because then removing one is one unlink, which takes nothing from those who
// still read it, and serving one is a sendfile. Its record follows when the file is whole: a killed
// process leaves at most a file without a record, which the next start removes, or half a record,
// which it leaves out. Nothing is ever synced: the page cache survives the process, and after a
// loss of power files that are not as long as their record says become gaps. Removing a segment
// writes nothing: one whose file is gone is gone.
package spool

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"
)

const (
	// maxSegments bounds the memory for what is on disk, at about 100 bytes each.
	maxSegments = 1 << 20
	// maxQueued bounds the records that wait for the disk.
	maxQueued = 1 << 15
	// keepUnlisted is for how long a segment can be fetched after it left the window, by players
	// that loaded their playlist before (RFC 8216 6.2.2).
	keepUnlisted = time.Minute
	// spareShare of the bytes is room for segments that were unlisted early, to the same end.
	spareShare = 32
	// blockSize is what a file is rounded up to on common file systems; entryBytes is the room for
	// its index record.
	blockSize, entryBytes = 4096, 128
	// sweepEvery is how often segments of streams that are off the air are looked through.
	sweepEvery = 10 * time.Second
)

// The reasons for which a segment is not taken or not found.
var (
	// ErrNotStored says that a segment is not on disk: never, no longer, or not yet.
	ErrNotStored = errors.New("segment is not stored")
	// ErrOver says that a life has ended or another one has begun.
	ErrOver = errors.New("life of the stream is over")
	// ErrOrder says that a segment's number does not rise.
	ErrOrder = errors.New("segment number does not rise")
)

// Options configures a Store. The zero value of a field means the default in parentheses.
type Options struct {
	// Dir holds the folders of streams, and nothing that the Store did not make is touched in it.
	// One Store at a time may use it, of all processes.
	Dir string
	// Window (2 h) is for how long a segment is listed.
	Window time.Duration
	// MaxBytes (10 GiB) bounds what all segments take on disk; beyond that the oldest ones of the
	// stream that takes most go first, so that each stream keeps an equal share whatever the others
	// do.
	MaxBytes int64
	// MaxQueueBytes (64 MiB) bounds the segments that wait for the disk; beyond that new ones
	// become gaps.
	MaxQueueBytes int
	// Log gets a line when segments begin to get lost and when that is over. Nil: nothing is
	// logged.
	Log *slog.Logger
	// Now (time.Now) is the wall clock.
	Now func() time.Time

	disk disk
}

func (o Options) withDefaults() Options {
	if o.Window <= 0 {
		o.Window = 2 * time.Hour
	}
	if o.MaxBytes <= 0 {
		o.MaxBytes = 10 << 30
	}
	if o.MaxQueueBytes <= 0 {
		o.MaxQueueBytes = 64 << 20
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.disk == nil {
		o.disk = systemDisk{}
	}
	return o
}

// Store is the segments of all streams. Its methods, and those of lives and renditions, may be
// called at the same time.
type Store struct {
	opt  Options
	log  *slog.Logger
	disk disk

	mu      sync.Mutex
	streams map[string]*stream // by folder
	// segments counts those that are stored. bytes is what they and the init segments take, with
	// those that wait; listedBytes without segments that are unlisted.
	segments           int
	bytes, listedBytes int64
	// unlistAt and evictAt are when the next segment gets too old for its window, and for the disk,
	// or earlier.
	unlistAt, evictAt int64
	// newest is when the last segment came, as the clock may go back.
	newest int64

	queue  []job
	queued int // bytes
	// reservations are the streams whose reservation waits for the disk. They go first.
	reservations []*stream
	// busy: the writer has a job from the queue.
	busy, closed bool
	// lost counts segments that became gaps. failing: the log says so; failed is when the last one
	// did.
	lost    uint64
	failing bool
	failed  time.Time

	// ready: the folder is there and locked. held are its locks, nil where there are none.
	ready bool
	held  [2]*os.File

	wake    chan struct{}
	abandon chan struct{}
	done    chan struct{}
}

// stream is what is stored of one stream.
type stream struct {
	folder  string
	shelves map[string]*shelf // by folder
	// order holds the shelf of each stored segment, in the order in which they came: the order in
	// which they go. The first unlisted ones left the windows already.
	order    []*shelf
	unlisted int
	// bytes and listedBytes are the stream's part of those of the Store.
	bytes, listedBytes int64
	// life is the one that may append, nil if the stream is off the air.
	life *Life
	// next is the number after the last one that was used, 0 if nobody said so: the process was
	// killed. begun is the first number of the last life that was noted.
	next, begun int64
	// reserved is the number before which all may be used, as the disk has it or will have it;
	// reserving: it waits for the disk.
	reserved  int64
	reserving bool
	// noted: there is a file with a reservation. whole is the copy in it, 0 or 1, that is whole and
	// has the largest number. Only the writer uses them.
	noted bool
	whole int
}

// Open opens the store in a folder, or makes it. It reads the indexes and looks for each file,
// about 4 µs for each segment. The Store must be closed. It fails with ErrInUse while another Store
// has the folder. On a full disk it succeeds, and segments get lost until there is room.
func Open(o Options) (*Store, error) {
	o = o.withDefaults()
	s := &Store{
		opt: o, log: o.Log, disk: o.disk,
		streams: make(map[string]*stream),
		wake:    make(chan struct{}, 1),
		abandon: make(chan struct{}),
		done:    make(chan struct{}),
	}
	err := s.prepare()
	if err == nil {
		err = s.load()
	}
	if err != nil && !isFull(err) {
		s.unlock()
		return nil, fmt.Errorf("opening the store of segments: %w", err)
	}
	if err != nil {
		s.report(err)
	}
	go s.run()
	return s, nil
}

// prepare makes the folder and locks it. On a full disk it fails only if there was none. The caller
// is Open, or the writer, who tries again.
func (s *Store) prepare() error {
	if err := s.disk.makeFolder(s.opt.Dir); err != nil {
		return err
	}
	err := s.lock()
	s.ready = err == nil
	return err
}

// load reads what is there and removes what must go, which makes room on a full disk, and finds out
// whether the folder can be written to.
func (s *Store) load() error {
	if err := s.scan(); err != nil {
		return err
	}
	for s.sweep() {
	}
	return s.probe()
}

func (s *Store) probe() error {
	file := filepath.Join(s.opt.Dir, probeFile)
	return errors.Join(s.disk.write(file, []byte("livego")), s.disk.remove(file))
}

// Close writes what waits for the disk, until ctx ends. Nothing is taken any more; what is stored
// can still be read.
func (s *Store) Close(ctx context.Context) error {
	s.mu.Lock()
	again := s.closed
	s.closed = true
	s.mu.Unlock()
	s.notify()
	select {
	case <-s.done:
		return nil
	case <-ctx.Done():
	}
	if !again {
		close(s.abandon)
	}
	return fmt.Errorf("storing the last segments: %w", context.Cause(ctx))
}

// Stats are figures of a Store.
type Stats struct {
	// Segments and Bytes are what is stored, Queued the bytes that wait for the disk. Lost counts
	// the segments that could not be written.
	Segments int
	Bytes    int64
	Queued   int
	Lost     uint64
}

// Stats returns the figures of now.
func (s *Store) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Stats{Segments: s.segments, Bytes: s.bytes, Queued: s.queued, Lost: s.lost}
}

// now is the wall clock, which does not go back here. The caller holds mu.
func (s *Store) now() int64 {
	s.newest = max(s.newest, s.opt.Now().UnixNano())
	return s.newest
}

func (s *Store) notify() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}
