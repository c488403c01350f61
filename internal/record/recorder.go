package record

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"livego/internal/bucket"
	"livego/internal/hls"
)

const (
	// maxQueued bounds, in bytes, the segments that wait for the local disk, maxJobs how many there
	// are.
	maxQueued = 64 << 20
	maxJobs   = 1 << 14
	// workers store files in the bucket, perRecording of them those of one recording.
	workers, perRecording = 4, 2
	// maxLength bounds a recording: a longer one goes on in another. maxSegments does so where
	// segments are short.
	maxLength   = 24 * time.Hour
	maxSegments = 1 << 16
	// settling is how long a recording that was stopped waits for what its other renditions have up
	// to there.
	settling = 10 * time.Second
	// tick is how often deadlines are looked at, sweepEvery how often what is too old.
	tick, sweepEvery = time.Second, time.Minute
)

// Recorder records streams: the CMAF segments that viewers get, and playlists of them. A segment
// goes to the local disk first and from there to the bucket; who packages never waits. Its methods
// may be called at the same time.
type Recorder struct {
	opt Options
	log *slog.Logger

	mu      sync.Mutex
	buckets map[string]bucket.Bucket // by location
	lives   map[string]*life         // the newest of each stream
	active  map[string]*recording    // those that take segments, by stream
	open    map[string]*recording    // those that are not complete, by ID
	done    map[string]*entry        // complete ones, by ID
	order   []*recording             // of open, by ID, nil if that has changed; the slice never does
	removed []*entry                 // to be removed

	queue  []job
	queued int
	// spooled is what waits for the bucket on the local disk, in bytes.
	spooled int64
	stats   Stats
	// turn is the recording that a worker looks at next.
	turn    int
	changed chan struct{} // closed when there may be something to do
	taken   chan struct{} // has a value when there may be a job for the scribe alone
	closed  bool

	disk, far trouble

	clips chan struct{} // has a value for each clip that is being made

	ctx    context.Context // of what the workers do
	cancel context.CancelFunc
	// lifted is closed when the queue is to be left as it is.
	lifted chan struct{}
	tasks  sync.WaitGroup
}

var _ hls.Recorder = (*Recorder)(nil)

// Open opens the recorder of a folder, which is made if need be, and goes on with what an earlier
// one left. It must be closed.
func Open(o Options) (*Recorder, error) {
	o = o.withDefaults()
	r := &Recorder{
		opt: o, log: o.Log,
		buckets: make(map[string]bucket.Bucket),
		lives:   make(map[string]*life),
		active:  make(map[string]*recording),
		open:    make(map[string]*recording),
		done:    make(map[string]*entry),
		changed: make(chan struct{}),
		taken:   make(chan struct{}, 1),
		lifted:  make(chan struct{}),
		clips:   make(chan struct{}, maxClips),
	}
	if _, err := r.bucketAt(o.To); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, err
	}
	if err := r.load(time.Now()); err != nil {
		return nil, err
	}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	r.tasks.Go(r.scribe)
	r.tasks.Go(r.remover)
	for range workers {
		r.tasks.Go(r.worker)
	}
	return r, nil
}

// Close puts what waits on the local disk, until ctx ends. Recordings that are under way go on when
// the folder is opened again, if that is soon.
func (r *Recorder) Close(ctx context.Context) error {
	r.mu.Lock()
	again := r.closed
	r.closed = true
	r.wake()
	r.mu.Unlock()
	if again {
		return nil
	}
	r.cancel()
	stop := context.AfterFunc(ctx, func() { close(r.lifted) })
	r.tasks.Wait()
	if stop() {
		r.closeJournals()
		return nil
	}
	r.closeJournals()
	return fmt.Errorf("writing the last segments of recordings: %w", context.Cause(ctx))
}

func (r *Recorder) closeJournals() {
	for _, rec := range r.open {
		rec.journal.close()
	}
}

// wake lets those look again who wait for something to do. The caller holds mu.
func (r *Recorder) wake() {
	close(r.changed)
	r.changed = make(chan struct{})
}

// bucketAt returns the bucket at a location. The caller holds mu, or is alone.
func (r *Recorder) bucketAt(location string) (bucket.Bucket, error) {
	if b := r.buckets[location]; b != nil {
		return b, nil
	}
	b, err := r.opt.open(location)
	if err == nil {
		r.buckets[location] = b
	}
	return b, err
}

// opened returns the recordings that are not complete, in an order that stays. The caller holds mu
// and does not change the slice.
func (r *Recorder) opened() []*recording {
	if r.order == nil {
		r.order = slices.SortedFunc(maps.Values(r.open), func(a, b *recording) int { return strings.Compare(a.ID, b.ID) })
	}
	return r.order
}

// folder is where the Recorder keeps what it knows of a recording.
func (r *Recorder) folder(id string) string { return filepath.Join(r.opt.Dir, id) }
