package record

import (
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"livego/internal/bucket"
	"livego/internal/hls"
	"livego/internal/media"
)

const (
	playlistSuffix = ".m3u8"
	segmentSuffix  = ".m4s"
	initSuffix     = ".mp4"
	indexName      = "index" + playlistSuffix
	recordingName  = "recording.json"
	journalName    = "journal"
)

// State is how far a recording is.
type State string

const (
	// Live: it goes on, or may go on.
	Live State = "live"
	// Complete: all of it is stored, but for segments that were lost.
	Complete State = "complete"
	// Broken: there is nothing to play, or its end is not known.
	Broken State = "broken"
	// deleting: its files are being removed.
	deleting State = "deleting"
)

// Recording is what everybody may know of a recording, as recording.json has it.
type Recording struct {
	ID string `json:"id"`
	// Stream is app/stream.
	Stream  string    `json:"stream"`
	Started time.Time `json:"started"`
	// Ended is when the last segment was listed.
	Ended time.Time `json:"ended,omitzero"`
	// Duration is that of the playlists, in seconds, Bytes the size of all segments.
	Duration   float64     `json:"duration"`
	Bytes      int64       `json:"bytes"`
	Renditions []Rendition `json:"renditions"`
	State      State       `json:"state"`
	// Reason says why it ended, if not because the stream did, or why it is broken.
	Reason string `json:"reason,omitempty"`
	// Lost counts segments that are missing because disks or buckets did not take them.
	Lost int `json:"lost,omitempty"`
}

// Rendition is one rendition of a recording.
type Rendition struct {
	ID string `json:"id"`
	// Kind is video or audio, Codecs as in RFC 6381.
	Kind   string `json:"kind"`
	Codecs string `json:"codecs"`
	Width  int    `json:"width,omitempty"`
	Height int    `json:"height,omitempty"`
	// FrameRate is in pictures per second, Bandwidth the highest bit rate of a segment, in bits per
	// second.
	FrameRate float64 `json:"frame_rate,omitempty"`
	Channels  int     `json:"channels,omitempty"`
	Bandwidth int     `json:"bandwidth"`
}

func renditionOf(d hls.Description) Rendition {
	r := Rendition{ID: d.ID, Kind: d.Kind.String(), Codecs: d.Codecs, Width: d.Width, Height: d.Height, FrameRate: d.FrameRate, Bandwidth: d.Peak}
	if d.Kind == media.Audio {
		r.Channels = d.Channels
	}
	return r
}

// entry is what the Recorder's own folder has of a recording.
type entry struct {
	Recording
	// To is the location of its bucket, Name its folder there.
	To   string `json:"to"`
	Name string `json:"name"`
	// Manual: the API began it.
	Manual bool `json:"manual,omitempty"`
}

// save writes an entry to the folder of its recording.
func (e *entry) save(dir string) error {
	text, err := json.Marshal(e)
	if err != nil {
		return err
	}
	path := filepath.Join(dir, recordingName)
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

func loadEntry(dir string) (*entry, error) {
	text, err := os.ReadFile(filepath.Join(dir, recordingName))
	if err != nil {
		return nil, err
	}
	e := new(entry)
	return e, json.Unmarshal(text, e)
}

// recording is one that is not complete. The Recorder's mu guards it.
type recording struct {
	entry
	log     *slog.Logger
	dir     string
	bucket  bucket.Bucket
	journal *journal

	timeline timeline
	// life is that of its stream, nil while its publisher is gone.
	life *life
	// until is the number of the first segment that it does not take, 0 if there is no end yet.
	until int64
	// deadline is when it is closed unless there is something new, zero: not at all.
	deadline time.Time
	// closing: nothing comes any more.
	closing bool

	// jobs are those that wait for the local disk.
	jobs int
	// pending are the files that wait for the bucket, oldest first; busy is how many are on their
	// way.
	pending []*object
	busy    int
	spooled int64
	// fails counts failures in a row, retry is until when nothing is tried.
	fails int
	retry time.Time

	// flush: playlists are due at once. publishing: they are on their way. published is when they
	// were written last, and shown how many segments they had.
	flush, publishing bool
	published         time.Time
	shown             int
}

func (rec *recording) ending() bool { return rec.until > 0 }

// full says that a recording must end.
func (rec *recording) full() bool {
	t := &rec.timeline
	return !rec.ending() && (t.duration >= maxLength || t.listed >= maxSegments)
}

// snapshot is what is known of the recording now.
func (rec *recording) snapshot() Recording {
	t := &rec.timeline
	c := rec.Recording
	c.Duration, c.Lost = t.duration.Round(time.Millisecond).Seconds(), t.missing
	c.Renditions = make([]Rendition, 0, len(t.tracks))
	c.Bytes = 0
	for _, r := range t.tracks {
		c.Bytes += r.bytes
		c.Renditions = append(c.Renditions, renditionOf(r.described()))
	}
	return c
}

func (r *Recorder) newRecording(e *entry, b bucket.Bucket) *recording {
	return &recording{
		entry: *e, dir: r.folder(e.ID), bucket: b,
		journal: &journal{entry: *e, dir: r.folder(e.ID)},
		log:     r.log.With("stream", e.Stream, "recording", e.ID),
	}
}

// load reads what an earlier Recorder left.
func (r *Recorder) load(now time.Time) error {
	dirs, err := os.ReadDir(r.opt.Dir)
	if err != nil {
		return err
	}
	for _, d := range dirs {
		if !d.IsDir() {
			continue
		}
		dir := filepath.Join(r.opt.Dir, d.Name())
		e, err := loadEntry(dir)
		if err != nil || e.ID != d.Name() {
			r.log.Warn("what is left of a recording cannot be read, and is left alone", "dir", dir, "err", err)
			continue
		}
		switch e.State {
		case Live:
			err = r.resume(e, dir, now)
		case deleting:
			r.removed = append(r.removed, e)
		default:
			r.done[e.ID] = e
		}
		if err != nil {
			r.log.Error("recording not resumed", "recording", e.ID, "err", err)
		}
	}
	return nil
}

// resume goes on with a recording: what is not in the bucket is on the local disk, and its
// publisher may come back.
func (r *Recorder) resume(e *entry, dir string, now time.Time) error {
	lines, err := readJournal(filepath.Join(dir, journalName))
	if err != nil {
		return err
	}
	b, err := r.bucketAt(e.To)
	if err != nil {
		return err
	}
	rec := r.newRecording(e, b)
	last := e.Started
	for i := range lines {
		if at := rec.replay(&lines[i]); !at.IsZero() {
			last = at
		}
	}
	rec.find(r)
	r.open[e.ID], r.active[e.Stream], r.order = rec, rec, nil
	rec.flush, rec.deadline = true, last.Add(r.opt.Join)
	mode := r.opt.Mode(appOf(e.Stream))
	rec.log.Info("recording that was under way", "waiting", len(rec.pending))
	if !now.Before(rec.deadline) || mode == Off || mode == ByAPI && !e.Manual {
		r.finish(rec)
	}
	return nil
}

// doubtful is how many of the newest segments of a rendition are looked for in the bucket after a
// start, in case the machine lost them with its power.
const doubtful = 32

// find says where the files of a recording are that was just read.
func (rec *recording) find(r *Recorder) {
	sums := func(f *object) bool {
		st, err := os.Stat(filepath.Join(rec.dir, filepath.FromSlash(f.name)))
		switch {
		case err == nil && st.Size() == int64(f.size):
			f.state = spooled
			rec.spooled += int64(f.size)
			r.spooled += int64(f.size)
			rec.pending = append(rec.pending, f)
		case errors.Is(err, fs.ErrNotExist):
			f.state = stored // it went when the bucket had it
			return true
		default:
			f.state = lost
		}
		return false
	}
	for _, t := range rec.timeline.tracks {
		for _, f := range t.inits {
			if f.state == waiting && sums(f) {
				f.state, f.unsure = spooled, true
				rec.pending = append(rec.pending, f)
			}
		}
		tail := make([]*object, 0, len(t.pieces))
		for _, p := range t.pieces {
			if p.file != nil {
				tail = append(tail, p.file)
			}
		}
		slices.SortFunc(tail, func(a, b *object) int { return int(b.piece.seq - a.piece.seq) })
		for i, f := range tail {
			if f.state == waiting && sums(f) && i < doubtful {
				f.state, f.unsure = spooled, true
				rec.pending = append(rec.pending, f)
			}
		}
	}
	slices.SortStableFunc(rec.pending, func(a, b *object) int {
		switch {
		case a.piece == nil && b.piece == nil:
			return 0
		case a.piece == nil:
			return -1
		case b.piece == nil:
			return 1
		}
		return int(a.piece.seq - b.piece.seq)
	})
}
