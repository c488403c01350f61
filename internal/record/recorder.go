package record

import (
	"context"
	"crypto/rand"
	"errors"
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
	"livego/internal/event"
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

// Mode says which streams of an app are recorded.
type Mode string

// The modes: none, all, those that the API starts.
const (
	Off   Mode = "off"
	All   Mode = "all"
	ByAPI Mode = "api"
)

// The reasons for which a recording is not begun or not found.
var (
	// ErrOff says that streams of the app are not recorded.
	ErrOff = errors.New("streams of this app are not recorded (record)")
	// ErrNotFound says that there is no such recording.
	ErrNotFound = errors.New("no such recording")
	// ErrUnderWay says that a recording cannot be deleted before it is complete.
	ErrUnderWay = errors.New("the recording is not complete")
	// ErrOffAir says that there is nothing to record.
	ErrOffAir = errors.New("the stream is not packaged as HLS with CMAF segments now")
)

// Options configures a Recorder. The zero value of a field means the default in parentheses.
type Options struct {
	// Dir is the Recorder's own folder: what waits for the bucket, and what recordings there are.
	// One Recorder at a time may use it.
	Dir string
	// To is where recordings go, as bucket.Open has it, and Name how they are called there.
	To   string
	Name Template
	// Mode says which streams of an app are recorded (none).
	Mode func(app string) Mode
	// Join is for how long a publisher may be gone that goes on in the same recording; 0: not at
	// all.
	Join time.Duration
	// Keep is the age at which recordings are deleted, from their end on; 0: never.
	Keep time.Duration
	// MaxSpoolBytes (10 GiB) bounds what waits for the bucket on the local disk.
	MaxSpoolBytes int64
	// List lets everybody who may watch a stream list its recordings.
	List bool
	// Events are told of recordings that begin and end. Nil: nobody is.
	Events *event.Bus
	// Log gets a line when a recording begins and ends, and when trouble does. Nil: nothing is
	// logged.
	Log *slog.Logger

	// open opens a bucket (bucket.Open), disk writes files to the local disk.
	open func(location string) (bucket.Bucket, error)
	disk func(path string, pieces ...[]byte) error
}

func (o Options) withDefaults() Options {
	if o.Mode == nil {
		o.Mode = func(string) Mode { return Off }
	}
	if o.MaxSpoolBytes <= 0 {
		o.MaxSpoolBytes = 10 << 30
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.open == nil {
		o.open = bucket.Open
	}
	if o.disk == nil {
		o.disk = writeFile
	}
	return o
}

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
	removed []*entry                 // to be removed

	queue  []job
	queued int
	// spooled is what waits for the bucket on the local disk, in bytes.
	spooled int64
	stats   Stats
	// turn is the recording that a worker looks at next.
	turn    int
	changed chan struct{} // closed when there may be something to do
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

// Stats are figures of a Recorder.
type Stats struct {
	// Active are the recordings that are not complete, Complete the others.
	Active, Complete int
	// Queued is what waits for the local disk, Spooled what waits there for the bucket, in bytes.
	Queued  int
	Spooled int64
	// Stored and Bytes count the files that were stored in the bucket, Took is how long that took,
	// Failed how often it failed and was tried again. Lost counts segments that are missing in
	// recordings.
	Stored, Failed, Lost uint64
	Bytes                int64
	Took                 time.Duration
}

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

// life is one life of a stream.
type life struct {
	recorder *Recorder
	stream   string
	// newest is the highest number so far.
	newest int64
	// recording takes its segments, older those before a number too.
	recording, older *recording
	// stopped: it is not to be recorded.
	stopped bool
}

var _ hls.Sink = (*life)(nil)

// Begin implements hls.Recorder.
func (r *Recorder) Begin(stream string) hls.Sink {
	l := &life{recorder: r, stream: stream}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lives[stream] = l
	return l
}

// Segment implements hls.Sink.
func (l *life) Segment(s hls.Segment) {
	r := l.recorder
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return
	}
	now := time.Now()
	rec := l.find(&s, now)
	l.newest = max(l.newest, s.Seq)
	if rec != nil {
		r.take(rec, &s, now)
	}
}

// End implements hls.Sink.
func (l *life) End() {
	r := l.recorder
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.lives[l.stream] == l {
		delete(r.lives, l.stream)
	}
	for _, rec := range []*recording{l.recording, l.older} {
		if rec == nil || rec.life != l {
			continue
		}
		rec.life, rec.flush = nil, true
		if rec.ending() || r.opt.Join <= 0 {
			r.finish(rec)
			continue
		}
		rec.deadline = time.Now().Add(r.opt.Join)
	}
	r.wake()
}

// find returns the recording that takes a segment, nil if there is none. The caller holds mu.
func (l *life) find(s *hls.Segment, now time.Time) *recording {
	r := l.recorder
	if l.older != nil && s.Seq < l.older.until {
		return l.older
	}
	if l.recording == nil && !l.stopped {
		l.join(s)
	}
	if rec := l.recording; rec != nil && rec.full() && s.Seq > l.newest {
		r.end(rec, "it goes on in another one, after 24 hours")
		l.older = rec
		l.recording = r.begin(l, rec.Manual, s.Seq, now)
	}
	if l.recording == nil && !l.stopped && r.opt.Mode(appOf(l.stream)) == All {
		l.recording = r.begin(l, false, 0, now)
	}
	return l.recording
}

// join goes on with the recording of an earlier life.
func (l *life) join(s *hls.Segment) {
	r := l.recorder
	rec := r.active[l.stream]
	switch {
	case rec == nil || rec.life != nil:
	case s.Seq <= rec.timeline.newest: // a clock was set back
		r.finish(rec)
	default:
		l.recording = rec
		rec.life, rec.deadline = l, time.Time{}
	}
}

func appOf(stream string) string {
	app, _, _ := strings.Cut(stream, "/")
	return app
}

// begin begins a recording with the segment that has a number. The caller holds mu.
func (r *Recorder) begin(l *life, manual bool, from int64, now time.Time) *recording {
	app, name, _ := strings.Cut(l.stream, "/")
	id := strings.ToLower(rand.Text()[:13])
	e := entry{
		Recording: Recording{ID: id, Stream: l.stream, Started: now.UTC(), State: Live, Renditions: []Rendition{}},
		To:        r.opt.To, Name: r.opt.Name.Name(app, name, id, now), Manual: manual,
	}
	if r.named(e.Name) {
		e.Name += "-" + id
	}
	rec := r.newRecording(&e, r.buckets[e.To])
	rec.life, rec.timeline.from = l, from
	r.active[l.stream], r.open[id] = rec, rec
	rec.log.Info("recording", "to", rec.Name)
	r.tell(event.RecordingStarted, rec)
	return rec
}

// named says whether a recording has a name.
func (r *Recorder) named(name string) bool {
	for _, rec := range r.open {
		if rec.Name == name {
			return true
		}
	}
	for _, e := range r.done {
		if e.Name == name {
			return true
		}
	}
	return false
}

// end lets a recording take no more than its renditions have up to where the first one is. The
// caller holds mu.
func (r *Recorder) end(rec *recording, reason string) {
	rec.until, rec.Reason = rec.timeline.newest+1, reason
	rec.deadline = time.Now().Add(settling)
	if r.active[rec.Stream] == rec {
		delete(r.active, rec.Stream)
	}
}

// finish closes a recording as soon as what it has is stored. The caller holds mu.
func (r *Recorder) finish(rec *recording) {
	if rec.closing {
		return
	}
	if l := rec.life; l != nil && l.recording == rec {
		l.recording = nil
	} else if l != nil && l.older == rec {
		l.older = nil
	}
	rec.closing, rec.life, rec.deadline = true, nil, time.Time{}
	if r.active[rec.Stream] == rec {
		delete(r.active, rec.Stream)
	}
	r.wake()
}

// Wants says whether a stream that begins is, or may go on being, recorded.
func (r *Recorder) Wants(stream string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.active[stream] != nil || r.opt.Mode(appOf(stream)) == All
}

// Start begins the recording of a stream that is on air, or returns the one that is under way. It
// fails with ErrOff and ErrOffAir.
func (r *Recorder) Start(stream string) (Recording, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if rec := r.active[stream]; rec != nil {
		return rec.snapshot(), nil
	}
	l := r.lives[stream]
	switch {
	case r.opt.Mode(appOf(stream)) == Off:
		return Recording{}, ErrOff
	case l == nil || r.closed:
		return Recording{}, ErrOffAir
	}
	l.older = l.recording
	l.stopped = false
	l.recording = r.begin(l, true, l.newest+1, time.Now())
	return l.recording.snapshot(), nil
}

// Stop ends the recording of a stream, which is not recorded again before its next life unless
// Start says so. It fails with ErrNotFound.
func (r *Recorder) Stop(stream string) (Recording, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	rec := r.active[stream]
	if rec == nil {
		return Recording{}, ErrNotFound
	}
	if l := r.lives[stream]; l != nil {
		l.stopped = true
		if l.recording == rec {
			l.older, l.recording = rec, nil
		}
	}
	r.end(rec, "stopped by the API")
	if rec.life == nil {
		r.finish(rec)
	}
	return rec.snapshot(), nil
}

// Of returns the recording of a stream that is under way. It fails with ErrNotFound.
func (r *Recorder) Of(stream string) (Recording, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if rec := r.active[stream]; rec != nil {
		return rec.snapshot(), nil
	}
	return Recording{}, ErrNotFound
}

// List returns the recordings of a stream, or with "" all of them, the newest first.
func (r *Recorder) List(stream string) []Recording {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]Recording, 0, len(r.open)+len(r.done))
	for _, rec := range r.open {
		if stream == "" || stream == rec.Stream {
			all = append(all, rec.snapshot())
		}
	}
	for _, e := range r.done {
		if stream == "" || stream == e.Stream {
			all = append(all, e.Recording)
		}
	}
	slices.SortFunc(all, func(a, b Recording) int {
		if c := b.Started.Compare(a.Started); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
	return all
}

// Get returns a recording. It fails with ErrNotFound.
func (r *Recorder) Get(id string) (Recording, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if rec := r.open[id]; rec != nil {
		return rec.snapshot(), nil
	}
	if e := r.done[id]; e != nil {
		return e.Recording, nil
	}
	return Recording{}, ErrNotFound
}

// Delete deletes a recording that is complete: it is gone at once, and its files soon. It fails
// with ErrNotFound and ErrUnderWay.
func (r *Recorder) Delete(id string) error {
	r.mu.Lock()
	e, under := r.done[id], r.open[id] != nil
	r.mu.Unlock()
	switch {
	case under:
		return ErrUnderWay
	case e == nil:
		return ErrNotFound
	}
	return r.discard(e)
}

// Stats returns the figures of now.
func (r *Recorder) Stats() Stats {
	r.mu.Lock()
	defer r.mu.Unlock()
	st := r.stats
	st.Active, st.Complete, st.Queued, st.Spooled = len(r.open), len(r.done), r.queued, r.spooled
	return st
}

// opened returns the recordings that are not complete, in an order that stays.
func (r *Recorder) opened() []*recording {
	return slices.SortedFunc(maps.Values(r.open), func(a, b *recording) int { return strings.Compare(a.ID, b.ID) })
}

// folder is where the Recorder keeps what it knows of a recording.
func (r *Recorder) folder(id string) string { return filepath.Join(r.opt.Dir, id) }

func (r *Recorder) tell(t event.Type, rec *recording) {
	if r.opt.Events == nil {
		return
	}
	data := told{ID: rec.ID, File: rec.Name}
	if t != event.RecordingStarted {
		data.Seconds, data.Bytes, data.Lost, data.Reason = rec.Duration, rec.Bytes, uint64(rec.Lost), rec.Reason
	}
	r.opt.Events.Emit(event.Event{Type: t, Stream: rec.Stream, Data: data})
}

// trouble is something that fails again and again: the log has its begin and its end.
type trouble struct {
	failing bool
	failed  time.Time
}

// calm is how long nothing may fail before trouble is over.
const calm = 30 * time.Second

// report logs the begin of trouble. The caller holds mu.
func (r *Recorder) report(t *trouble, err error, advice string) {
	now := time.Now()
	switch {
	case err != nil && !t.failing:
		t.failing = true
		r.log.Error(advice, "err", err)
	case err == nil && t.failing && now.Sub(t.failed) >= calm:
		t.failing = false
		r.log.Info("recordings are stored again", "lost", r.stats.Lost)
	}
	if err != nil {
		t.failed = now
	}
}
