package record

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"livego/internal/hls"
)

// maxLine bounds a line of a journal, in bytes. Date ranges are the longest that can be in one.
const maxLine = 1 << 20

// line is one of a journal: something that is new.
type line struct {
	Rendition *hls.Description `json:"rendition,omitempty"`
	Segment   *segmentLine     `json:"segment,omitempty"`
	// Lost is a file that the recording does not have any more.
	Lost string `json:"lost,omitempty"`
}

// segmentLine is a segment that is on the local disk, or is missing.
type segmentLine struct {
	Rendition     string        `json:"r"`
	Seq           int64         `json:"n"`
	Start         time.Duration `json:"t"`
	Duration      time.Duration `json:"d"`
	At            int64         `json:"at,omitempty"` // ms since 1970
	Target        time.Duration `json:"target"`
	Discontinuity bool          `json:"discontinuity,omitempty"`
	Independent   bool          `json:"independent,omitempty"`
	Dates         []string      `json:"dates,omitempty"`
	File, Init    *fileLine     `json:",omitempty"`
	// Came is when, in ms since 1970.
	Came int64 `json:"came"`
}

type fileLine struct {
	Name string `json:"name"`
	Size int    `json:"size"`
	Sum  uint32 `json:"sum"`
	Lost bool   `json:"lost,omitempty"`
}

func lineOf(f *object) *fileLine {
	if f == nil {
		return nil
	}
	return &fileLine{f.name, f.size, f.sum, f.state == lost}
}

func (l *fileLine) file() *object {
	f := &object{name: l.Name, size: l.Size, sum: l.Sum}
	if l.Lost {
		f.state = lost
	}
	return f
}

// journal is a file of lines of JSON, appended one by one, in the folder of a recording. A process
// that is killed leaves half a line at most. Only the scribe appends.
type journal struct {
	// entry is what the folder says of the recording, dir the folder: they are made with the first
	// line.
	entry entry
	dir   string
	f     *os.File
	// end is where the last whole line ends.
	end int64
}

func (j *journal) open() error {
	if err := os.MkdirAll(j.dir, 0o700); err != nil {
		return err
	}
	if err := j.entry.save(j.dir); err != nil {
		return err
	}
	path := filepath.Join(j.dir, journalName)
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	j.end = int64(bytes.LastIndexByte(text, '\n') + 1)
	j.f, err = os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o600)
	return err
}

// append adds a line, or nothing.
func (j *journal) append(l *line) error {
	if j.f == nil {
		if err := j.open(); err != nil {
			return err
		}
	}
	text, err := json.Marshal(l)
	if err != nil {
		return err
	}
	text = append(text, '\n')
	n, err := j.f.WriteAt(text, j.end)
	if err != nil {
		if n > 0 {
			_ = j.f.Truncate(j.end) // what is written next goes there anyway
		}
		return err
	}
	j.end += int64(n)
	return nil
}

func (j *journal) close() {
	if j.f != nil {
		_ = j.f.Close() // what was written is written
	}
}

// readJournal reads all lines that are whole. What is none is left out.
func readJournal(path string) (lines []line, err error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	s := bufio.NewScanner(f)
	s.Buffer(nil, maxLine)
	for s.Scan() {
		var l line
		if json.Unmarshal(s.Bytes(), &l) == nil {
			lines = append(lines, l)
		}
	}
	return lines, s.Err()
}

// replay takes a line of the journal, and returns when its segment came.
func (rec *recording) replay(l *line) (came time.Time) {
	t := &rec.timeline
	if l.Rendition != nil {
		t.describe(*l.Rendition)
	}
	if l.Lost != "" {
		for _, r := range t.tracks {
			for _, p := range r.pieces {
				if p.file != nil && p.file.name == l.Lost {
					p.file.state = lost
				}
			}
		}
	}
	if l.Segment == nil {
		return time.Time{}
	}
	s := l.Segment
	r := t.track(s.Rendition)
	if r == nil {
		return time.Time{}
	}
	p := &piece{seq: s.Seq, duration: s.Duration, dates: s.Dates}
	if s.File != nil && s.Init != nil {
		p.file = s.File.file()
		p.file.piece = p
		if p.init = r.init; p.init == nil || p.init.name != s.Init.Name {
			p.init = s.Init.file()
			r.inits = append(r.inits, p.init)
		}
	}
	place := slot{seq: s.Seq, start: s.Start, duration: s.Duration, discontinuity: s.Discontinuity}
	if s.At != 0 {
		place.at = time.UnixMilli(s.At)
	}
	t.add(r, p, &place, s.Target, s.Independent)
	return time.UnixMilli(s.Came)
}
