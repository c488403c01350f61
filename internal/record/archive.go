// Package record keeps what was published.
package record

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path"
	"strconv"
	"strings"
	"time"

	"livego/internal/event"
	"livego/internal/media"
)

const (
	// maxSameName is how many files one stream may begin in one second.
	maxSameName = 100
	// partSuffix is of files that are not complete.
	partSuffix = ".part"
	dirMode    = 0o755
	fileMode   = 0o644
	// batch is how many units are read at once.
	batch = 64
)

// Stream is what is recorded. live.Publication with a Reader is one.
type Stream struct {
	// App, Name and Rendition are as in live.Name. None of them holds a channel key.
	App, Name, Rendition string
	// Reader hands out the units, after the headers in force.
	Reader media.Reader
	// Skipped returns how many units the Reader lost, as the disk was too slow.
	Skipped func() uint64
}

// key is app/stream.
func (s *Stream) key() string { return s.App + "/" + s.Name }

// Archive writes publications as FLV files, as LiveGo's flv_archive does: DIR/APP/STREAM_TIME.flv,
// with the bodies of the messages as they came. A file that is not complete is called .part; it
// plays too.
type Archive struct {
	dir    string
	log    *slog.Logger
	events *event.Bus
	body   func(dst []byte, u *media.AccessUnit) ([]byte, error)
	create func(root *os.Root, name string) (file, error)
}

// NewArchive returns an archive below a directory, which need not exist. body makes the message of
// a unit that has none.
func NewArchive(dir string, body func([]byte, *media.AccessUnit) ([]byte, error), events *event.Bus, log *slog.Logger) *Archive {
	return &Archive{dir: dir, log: log, events: events, body: body, create: create}
}

// create makes a file that must not be there.
func create(root *os.Root, name string) (file, error) {
	return root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, fileMode)
}

// Write records a stream until it ends, or ctx does. An error of the disk ends the recording, not
// the stream: it is logged and told here, once, and Write returns nil.
func (a *Archive) Write(ctx context.Context, s *Stream) error {
	r := flvRecording{archive: a, stream: s, log: a.log.With("stream", s.key(), "publication", s.Rendition)}
	if err := r.run(ctx); err != nil {
		r.fail(err)
	}
	if r.root != nil {
		_ = r.root.Close()
	}
	return nil
}

// told is the data of events about recordings.
type told struct {
	// ID is that of a recording of segments, File its folder.
	ID      string  `json:"id,omitempty"`
	File    string  `json:"file,omitempty"`
	Seconds float64 `json:"seconds,omitempty"`
	Bytes   int64   `json:"bytes,omitempty"`
	// Lost counts units that a slow disk cost.
	Lost   uint64 `json:"lost,omitempty"`
	Reason string `json:"reason,omitempty"`
}

// flvRecording is the recording of one stream, in one file or, after 24 days, several.
type flvRecording struct {
	archive *Archive
	stream  *Stream
	log     *slog.Logger
	root    *os.Root
	file    *flvFile // nil before the first unit, and between two files
	name    string   // of file, below root, without partSuffix
	headers []media.AccessUnit
	scratch []byte
}

func (r *flvRecording) run(ctx context.Context) error {
	units := make([]media.AccessUnit, batch)
	for {
		n, err := r.stream.Reader.Read(ctx, units)
		switch {
		case errors.Is(err, media.ErrSuspended): // the publisher may be back, in the same file
			if err := r.flush(); err != nil {
				return err
			}
			continue
		case err != nil: // the end of the stream, or of the server
			return r.finish()
		}
		for i := range units[:n] {
			if err := r.write(&units[i]); err != nil {
				return err
			}
		}
		clear(units[:n])
		if err := r.flushOld(); err != nil {
			return err
		}
	}
}

// write takes one unit.
func (r *flvRecording) write(u *media.AccessUnit) error {
	r.remember(u)
	if u.Shared {
		return nil // its message is in the file
	}
	if r.file != nil && r.file.full(u) {
		if err := r.finish(); err != nil {
			return err
		}
	}
	if r.file == nil {
		if u.Header != media.Sample {
			return nil // it comes first in the file, with its fellows
		}
		if err := r.begin(u); err != nil {
			return err
		}
	}
	return r.put(u)
}

// put writes the message of a unit.
func (r *flvRecording) put(u *media.AccessUnit) error {
	body := u.Body
	if len(body) == 0 {
		var err error
		if body, err = r.archive.body(r.scratch[:0], u); err != nil {
			return nil // what FLV cannot carry is not in FLV
		}
		r.scratch = body
	}
	return r.file.append(u, body)
}

// remember keeps the newest header of each track: a further file begins with them.
func (r *flvRecording) remember(u *media.AccessUnit) {
	if u.Header == media.Sample || u.Header == media.Command || u.Header == media.SequenceEnd || u.Track == nil {
		return
	}
	for i := range r.headers {
		h := &r.headers[i]
		if h.Header == u.Header && h.Track.Kind == u.Track.Kind && h.Track.ID == u.Track.ID {
			*h = *u
			return
		}
	}
	r.headers = append(r.headers, *u)
}

// begin opens a file whose first sample is u.
func (r *flvRecording) begin(u *media.AccessUnit) error {
	if r.root == nil {
		if err := os.MkdirAll(r.archive.dir, dirMode); err != nil {
			return err
		}
		root, err := os.OpenRoot(r.archive.dir)
		if err != nil {
			return err
		}
		r.root = root
	}
	f, name, err := r.create(time.Now())
	if err != nil {
		return err
	}
	r.name = name
	if r.file, err = newFLVFile(f, u.DTS); err != nil {
		_ = r.root.Remove(name + partSuffix)
		return err
	}
	for i := range r.headers {
		h := &r.headers[i]
		if h.Header == media.Metadata {
			r.file.describe(h.Body) // it goes into the file's own
			continue
		}
		h.DTS = u.DTS
		if err := r.put(h); err != nil {
			return err
		}
	}
	r.log.Info("recording", "file", r.name)
	r.tell(event.RecordingStarted, told{File: r.name})
	return nil
}

// create makes a file with a name that no other has.
func (r *flvRecording) create(now time.Time) (file, string, error) {
	base := path.Join(r.stream.App, r.stream.Name)
	if err := r.root.MkdirAll(path.Dir(base), dirMode); err != nil {
		return nil, "", err
	}
	ending := ".flv"
	if r.stream.Rendition != "" {
		ending = "." + r.stream.Rendition + ending
	}
	for i := 1; i <= maxSameName; i++ {
		name := base + "_" + strconv.FormatInt(now.Unix(), 10)
		if i > 1 {
			name += "_" + strconv.Itoa(i)
		}
		name += ending
		if _, err := r.root.Lstat(name); err == nil {
			continue
		}
		f, err := r.archive.create(r.root, name+partSuffix)
		if errors.Is(err, os.ErrExist) {
			continue
		}
		return f, name, err
	}
	return nil, "", fmt.Errorf("there are %d recordings of this second", maxSameName)
}

func (r *flvRecording) flush() error {
	if r.file == nil {
		return nil
	}
	return r.file.flush()
}

// flushOld writes what waits for long, so that little is lost with the process.
func (r *flvRecording) flushOld() error {
	if r.file == nil || !r.file.old(time.Now()) {
		return nil
	}
	return r.file.flush()
}

// finish completes the file, if there is one.
func (r *flvRecording) finish() error {
	if r.file == nil {
		return nil
	}
	f := r.file
	if err := f.finish(); err != nil {
		return err
	}
	r.file = nil
	if err := r.root.Rename(r.name+partSuffix, r.name); err != nil {
		return err
	}
	t := told{File: r.name, Seconds: f.duration().Seconds(), Bytes: f.size, Lost: r.lost()}
	r.log.Info("recorded", "file", t.File, "duration", f.duration().Round(time.Millisecond), "bytes", t.Bytes, "units_lost", t.Lost)
	r.tell(event.RecordingCompleted, t)
	return nil
}

func (r *flvRecording) lost() uint64 {
	if r.stream.Skipped == nil {
		return 0
	}
	return r.stream.Skipped()
}

// fail ends a recording that the disk does not take. What is there stays, as far as it is whole.
func (r *flvRecording) fail(err error) {
	reason := "the disk does not take it: " + withoutPath(err)
	if r.file != nil && r.file.salvage() {
		_ = r.root.Rename(r.name+partSuffix, r.name)
	}
	r.file = nil
	r.log.Error("recording ended: free room, or see to the rights of flv_dir; the stream goes on, and its next life is recorded",
		"file", r.name, "err", err)
	r.tell(event.RecordingFailed, told{File: r.name, Reason: reason, Lost: r.lost()})
}

// withoutPath leaves the path out of an error of the system.
func withoutPath(err error) string {
	var p *os.PathError
	if errors.As(err, &p) {
		return p.Err.Error()
	}
	return strings.TrimSpace(err.Error())
}

func (r *flvRecording) tell(t event.Type, data told) {
	if r.archive.events != nil {
		r.archive.events.Emit(event.Event{Type: t, Stream: r.stream.key(), Rendition: r.stream.Rendition, Data: data})
	}
}
