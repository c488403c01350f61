package record

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"time"

	"livego/internal/bucket"
	"livego/internal/hls"
	"livego/internal/media"
)

// ErrComplete says that there is nothing to fix.
var ErrComplete = errors.New("the recording is complete")

// Fix closes a recording whose server is lost, with all segments that are there. location is that
// of the recording itself, as bucket.Open has it. No server may be writing to it. It fails with
// ErrComplete and bucket.ErrNotFound.
func Fix(ctx context.Context, location string) (Recording, error) {
	b, err := bucket.Open(location)
	if err != nil {
		return Recording{}, err
	}
	return fix(ctx, b)
}

// wreck is a recording without its end.
type wreck struct {
	at       storedAt
	timeline timeline
	// inits are the initialization sections by their names.
	inits map[string]initOf
}

func fix(ctx context.Context, b bucket.Bucket) (rec Recording, err error) {
	w := wreck{at: storedAt{Bucket: b}, inits: make(map[string]initOf)}
	if rec, err = w.at.about(ctx); err != nil {
		return rec, fmt.Errorf("reading %s: %w", recordingName, err)
	}
	if rec.State == Complete {
		return rec, ErrComplete
	}
	if err := w.read(ctx, rec.Renditions); err != nil {
		return rec, err
	}
	if err := w.find(ctx); err != nil {
		return rec, err
	}
	w.timeline.advance(true)
	shown := recording{entry: entry{Recording: rec}, bucket: b, timeline: w.timeline}
	rec = shown.snapshot()
	rec.State, rec.Reason = Complete, "closed by livego record fix"
	rec.Ended = rec.Started.Add(w.timeline.duration)
	return rec, w.write(ctx, rec)
}

// read reads the playlists as far as all of them go.
func (w *wreck) read(ctx context.Context, all []Rendition) error {
	t := &w.timeline
	texts, lists := make([][]byte, len(all)), make([]mediaPlaylist, len(all))
	listed := -1
	for i := range all {
		text, err := w.at.read(ctx, all[i].ID+playlistSuffix)
		if err != nil && !errors.Is(err, bucket.ErrNotFound) {
			return err
		}
		if lists[i], err = readMedia(text); err != nil {
			return fmt.Errorf("%s: %w", all[i].ID, err)
		}
		texts[i] = text
		if n := len(lists[i].items); listed < 0 || n < listed {
			listed = n
		}
		t.target = max(t.target, time.Duration(lists[i].target)*time.Second)
	}
	t.target, t.listed = max(t.target, time.Second), max(listed, 0)
	for i := range all {
		if err := w.track(ctx, &all[i], texts[i], lists[i].items[:t.listed]); err != nil {
			return err
		}
	}
	return nil
}

// track makes a track of what is listed of a rendition.
func (w *wreck) track(ctx context.Context, about *Rendition, text []byte, items []item) error {
	t := &w.timeline
	d := hls.Description{
		ID: about.ID, Kind: media.Audio, Codec: "audio", Codecs: about.Codecs, Width: about.Width, Height: about.Height,
		FrameRate: about.FrameRate, Channels: about.Channels,
	}
	if about.Kind == media.Video.String() {
		d.Kind = media.Video
	}
	r, _ := t.describe(d)
	r.body = bodyOf(text, len(items))
	for i := range items {
		it := &items[i]
		if it.gap {
			continue
		}
		if n, ok := number(path.Base(it.uri)); ok {
			t.newest = max(t.newest, n)
		}
		if r.init == nil || r.init.name != it.init {
			r.init = &object{name: it.init, state: stored}
		}
		r.shown = r.init
		r.note(max(it.size, 0), it.duration)
	}
	if len(items) == 0 || t.end > 0 {
		return nil
	}
	t.duration = items[len(items)-1].end()
	return w.end(ctx, items)
}

// bodyOf returns the text of the first n segments of a media playlist.
func bodyOf(text []byte, n int) []byte {
	const lastOfHead = "#EXT-X-MEDIA-SEQUENCE:"
	var body []byte
	inHead := true
	for line := range bytes.Lines(text) {
		switch {
		case n == 0:
			return body
		case inHead:
			inHead = !bytes.HasPrefix(line, []byte(lastOfHead))
			continue
		case line[0] != '#':
			n--
		}
		body = append(body, line...)
	}
	return body
}

// end finds out where the media of a playlist ends.
func (w *wreck) end(ctx context.Context, items []item) error {
	for i := len(items) - 1; i >= 0; i-- {
		if it := &items[i]; !it.gap {
			begin, length, _, err := w.measure(ctx, it.uri, it.init)
			if errors.Is(err, bucket.ErrNotFound) {
				continue
			}
			w.timeline.end = begin + length + items[len(items)-1].end() - it.end()
			return err
		}
	}
	return nil
}

// measure reads where a segment begins, how long it is, and its size.
func (w *wreck) measure(ctx context.Context, name, init string) (begin, length time.Duration, size int, err error) {
	i, ok := w.inits[init]
	if !ok {
		data, err := w.at.file(ctx, init)
		if err == nil {
			i, err = readInit(data)
		}
		if err != nil {
			return 0, 0, 0, fmt.Errorf("%s: %w", init, err)
		}
		w.inits[init] = i
	}
	data, err := w.at.file(ctx, name)
	if err == nil {
		begin, err = begins(data, i.timescale)
	}
	if err == nil {
		length, err = lasts(data, i.timescale)
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", name, err)
	}
	return begin, length, len(data), err
}

// find adds the segments that are there and not listed.
func (w *wreck) find(ctx context.Context) error {
	t := &w.timeline
	t.from = t.newest + 1
	for _, r := range t.tracks {
		names, err := w.at.List(ctx, r.ID)
		if err != nil {
			return err
		}
		var inits, segments []int64
		for _, name := range names {
			n, ok := number(name)
			switch {
			case !ok:
			case path.Ext(name) == initSuffix:
				inits = append(inits, n)
			case n >= t.from:
				segments = append(segments, n)
			}
		}
		slices.Sort(inits)
		slices.Sort(segments)
		for _, n := range segments {
			if err := w.add(ctx, r, n, inits); err != nil {
				return err
			}
		}
	}
	return nil
}

// add adds a segment. One that cannot be read is missing.
func (w *wreck) add(ctx context.Context, r *track, seq int64, inits []int64) error {
	i, exact := slices.BinarySearch(inits, seq)
	if !exact {
		i--
	}
	if i < 0 {
		return nil
	}
	name, init := r.ID+"/"+strconv.FormatInt(seq, 10)+segmentSuffix, r.ID+"/"+strconv.FormatInt(inits[i], 10)+initSuffix
	begin, length, size, err := w.measure(ctx, name, init)
	if errors.Is(err, errMP4) {
		return nil
	}
	if err != nil {
		return err
	}
	p := &piece{seq: seq, duration: length, file: &object{name: name, size: size, state: stored}, init: r.init}
	if p.init == nil || p.init.name != init {
		p.init = &object{name: init, state: stored}
	}
	w.timeline.add(r, p, &slot{seq: seq, start: begin, duration: length}, 0, true)
	return nil
}

// write writes the playlists with their end, and recording.json after them.
func (w *wreck) write(ctx context.Context, rec Recording) error {
	for _, p := range w.timeline.playlists(true) {
		if _, err := w.at.Stat(ctx, p.name); p.name == indexName && err == nil {
			continue // it says more than is known here
		}
		if err := w.at.Write(ctx, p.name, append(p.head[:len(p.head):len(p.head)], p.body...), metaOf(p.name)); err != nil {
			return err
		}
	}
	text, err := json.MarshalIndent(rec, "", "  ")
	if err != nil {
		return err
	}
	return w.at.Write(ctx, recordingName, append(text, '\n'), metaOf(recordingName))
}

// full is the name of a file of the recording in its bucket.
func (at storedAt) full(name string) string {
	if at.name == "" {
		return name
	}
	return at.name + "/" + name
}
