package record

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"livego/internal/amf"
	"livego/internal/event"
	"livego/internal/flv"
	"livego/internal/media"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// script is a Reader that hands out what a test wrote down: units, and errors.
type script []any

func (s *script) Read(_ context.Context, dst []media.AccessUnit) (n int, err error) {
	for len(*s) > 0 && n < len(dst) {
		switch next := (*s)[0].(type) {
		case error:
			if n == 0 {
				*s = (*s)[1:]
				return 0, next
			}
			return n, nil
		case media.AccessUnit:
			dst[n] = next
			n++
		}
		*s = (*s)[1:]
	}
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

var (
	picture = &media.Track{Kind: media.Video, Codec: media.H264, Config: []byte{1, 2, 3}}
	sound   = &media.Track{Kind: media.Audio, Codec: media.AAC, Config: []byte{0x12, 0x10}}
	data    = &media.Track{Kind: media.Data}
)

// unit is one of 100 bytes, with its message.
func unit(t *media.Track, ms int, key bool) media.AccessUnit {
	messageType := typeOf(t.Kind)
	return media.AccessUnit{
		Track: t, DTS: time.Duration(ms) * time.Millisecond, RandomAccess: key, MessageType: messageType,
		Body: append([]byte(fmt.Sprintf("%d %v ", ms, t.Kind)), make([]byte, 100)...), Data: make([]byte, 100),
	}
}

func header(t *media.Track, kind media.Header, body []byte) media.AccessUnit {
	return media.AccessUnit{Track: t, Header: kind, MessageType: typeOf(t.Kind), Body: body}
}

// headers are those of a session as a reader hands them out.
func headers() []any {
	return []any{
		header(data, media.Metadata, amf.Append(nil, "onMetaData", amf.ECMAArray{
			{Name: "width", Value: 640.0}, {Name: "encoder", Value: "test"}, {Name: "duration", Value: 7.0}, {Name: "nested", Value: amf.Object{}},
		})),
		header(picture, media.SequenceHeader, []byte("video header")),
		header(sound, media.SequenceHeader, []byte("audio header")),
	}
}

// seconds of a stream with a key frame in each, from a time on.
func seconds(from, n int) (units []any) {
	for ms := from; ms < from+n*1000; ms += 100 {
		units = append(units, unit(picture, ms, ms%1000 == 0), unit(sound, ms+10, true))
	}
	return units
}

// record runs an archive over a script and returns the files, by their names without the time.
func record(t *testing.T, name string, s script, change ...func(*Archive)) (dir string, files map[string][]byte, logs string) {
	t.Helper()
	dir = t.TempDir()
	var log bytes.Buffer
	a := NewArchive(filepath.Join(dir, "archive"), flv.AppendBody, event.NewBus(event.Options{}), slog.New(slog.NewTextHandler(&log, nil)))
	for _, f := range change {
		f(a)
	}
	if err := a.Write(t.Context(), &Stream{App: "live", Name: name, Reader: &s}); err != nil {
		t.Fatal(err)
	}
	files = map[string][]byte{}
	err := filepath.WalkDir(filepath.Join(dir, "archive"), func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil
		}
		text, err := os.ReadFile(path)
		relative, _ := filepath.Rel(filepath.Join(dir, "archive"), path)
		files[withoutTime(relative)] = text
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return dir, files, log.String()
}

// withoutTime replaces the Unix time in a name.
func withoutTime(name string) string {
	now := time.Now().Unix()
	for at := now - 60; at <= now; at++ {
		name = strings.Replace(name, fmt.Sprint("_", at), "_TIME", 1)
	}
	return name
}

// tags reads a file as players do.
func tags(t *testing.T, file []byte) (metadata amf.Object, all []flv.Tag) {
	t.Helper()
	r := flv.NewReader(bytes.NewReader(file))
	if err := r.ReadHeader(); err != nil {
		t.Fatal(err)
	}
	for {
		tag, err := r.ReadTag()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, tag)
	}
	values, err := amf.DecodeAll(all[0].Body)
	if err != nil || values[0] != "onMetaData" {
		t.Fatalf("metadata %v, %v", values, err)
	}
	return amf.Properties(values[1]), all[1:]
}

// TestFile: all messages as they came, from time 0 on, with duration, size and an index whose
// places are key frames.
func TestFile(t *testing.T) {
	units := append(headers(), seconds(5000, 3)...)
	_, files, _ := record(t, "movie", slices.Clone(units))
	file := files["live/movie_TIME.flv"]
	if len(files) != 1 || file == nil {
		t.Fatalf("files %v", files)
	}
	if file[4] != 5 {
		t.Errorf("flags %d, want sound and pictures", file[4])
	}
	meta, got := tags(t, file)
	for name, want := range map[string]any{
		"duration": 3.01, "filesize": float64(len(file)), "width": 640.0, "encoder": "test", "hasVideo": true, "hasAudio": true, "hasKeyframes": true,
		"nested": nil,
	} {
		if value := meta.Get(name); value != want {
			t.Errorf("%s: %v, want %v", name, value, want)
		}
	}
	var want []string
	for _, u := range units[1:] {
		u := u.(media.AccessUnit)
		ms := u.DTS.Milliseconds() - 5000
		want = append(want, fmt.Sprint(u.MessageType, max(ms, 0), string(u.Body)))
	}
	var found []string
	for _, tag := range got {
		found = append(found, fmt.Sprint(tag.Type, tag.TimestampMS, string(tag.Body)))
	}
	if diff := cmp.Diff(want, found); diff != "" {
		t.Error(diff)
	}
	keys := amf.Properties(meta.Get("keyframes"))
	times, positions := keys.Get("times").(amf.StrictArray), keys.Get("filepositions").(amf.StrictArray)
	if diff := cmp.Diff(amf.StrictArray{0.0, 1.0, 2.0}, times); diff != "" {
		t.Error(diff)
	}
	for i, p := range positions {
		at := int(p.(float64))
		if file[at] != flv.TypeVideo || !bytes.HasPrefix(file[at+11:], []byte(fmt.Sprint(5000+1000*i, " video"))) {
			t.Errorf("the index leads to %q", file[at:at+20])
		}
	}
}

// TestFlags are of what there was, also of sound alone and of sound that came late.
func TestFlags(t *testing.T) {
	late := append([]any{headers()[1]}, seconds(0, 1)[0], unit(sound, 500, true))
	for name, c := range map[string]struct {
		units []any
		want  byte
	}{
		"sound only":    {[]any{headers()[2], unit(sound, 0, true), unit(sound, 20, true)}, hasAudio},
		"pictures only": {[]any{headers()[1], unit(picture, 0, true)}, hasVideo},
		"late sound":    {late, hasVideo | hasAudio},
	} {
		_, files, _ := record(t, "movie", c.units)
		if got := files["live/movie_TIME.flv"]; got == nil || got[4] != c.want {
			t.Errorf("%s: %v", name, got[:min(5, len(got))])
		}
	}
}

// TestReconnect within the grace continues the file.
func TestReconnect(t *testing.T) {
	units := append(headers(), seconds(0, 1)...)
	units = append(units, media.ErrSuspended)
	units = append(units, headers()[1:]...)
	units = append(units, seconds(1000, 1)...)
	_, files, _ := record(t, "movie", units)
	if len(files) != 1 {
		t.Fatalf("%d files", len(files))
	}
	_, got := tags(t, files["live/movie_TIME.flv"])
	if last := got[len(got)-1]; last.TimestampMS != 1910 {
		t.Errorf("the last tag is at %d ms", last.TimestampMS)
	}
}

// TestBodies: units of other origins get a message, and messages with several tracks are there
// once.
func TestBodies(t *testing.T) {
	a, b, c := unit(sound, 0, true), unit(sound, 20, true), unit(sound, 20, true)
	a.Body, c.Shared = nil, true
	_, files, _ := record(t, "movie", []any{a, b, c})
	_, got := tags(t, files["live/movie_TIME.flv"])
	if len(got) != 2 || !bytes.HasPrefix(got[0].Body, []byte{0xAF, 1}) {
		t.Errorf("%v", got)
	}
}

// TestNames: rooms with slashes get folders, and no file is written over.
func TestNames(t *testing.T) {
	_, files, _ := record(t, "team/red", append(headers(), seconds(0, 1)...))
	if files["live/team/red_TIME.flv"] == nil {
		t.Errorf("files: %v", files)
	}
	dir := t.TempDir()
	a := NewArchive(dir, flv.AppendBody, nil, slog.New(slog.DiscardHandler))
	for _, rendition := range []string{"", "", "360p"} {
		s := script(append(headers(), seconds(0, 1)...))
		if err := a.Write(t.Context(), &Stream{App: "live", Name: "movie", Rendition: rendition, Reader: &s}); err != nil {
			t.Fatal(err)
		}
	}
	found, _ := filepath.Glob(filepath.Join(dir, "live", "*"))
	if len(found) != 3 {
		t.Errorf("three recordings are %q", found)
	}
}

// TestEscape: a name cannot lead out of the folder, whatever checked it before.
func TestEscape(t *testing.T) {
	dir, _, logs := record(t, "../../../movie", append(headers(), seconds(0, 1)...))
	if found, _ := filepath.Glob(filepath.Join(dir, "*.flv*")); len(found) > 0 {
		t.Errorf("a file outside: %q", found)
	}
	if !strings.Contains(logs, "recording ended") {
		t.Errorf("log: %s", logs)
	}
}

// TestLongRecording: the index keeps its room, however many key frames there are.
func TestLongRecording(t *testing.T) {
	units := headers()
	for i := range 5 * maxKeys {
		units = append(units, unit(picture, 2000*i, true))
	}
	_, files, _ := record(t, "movie", units)
	file := files["live/movie_TIME.flv"]
	meta, got := tags(t, file)
	if len(got) != len(units)-1 {
		t.Errorf("%d tags of %d", len(got), len(units)-1)
	}
	times := amf.Properties(meta.Get("keyframes")).Get("times").(amf.StrictArray)
	if len(times) < maxKeys/2 || len(times) > maxKeys {
		t.Errorf("%d entries in the index", len(times))
	}
	step := times[1].(float64) - times[0].(float64)
	for i := range times {
		if times[i] != step*float64(i) {
			t.Fatalf("entry %d is at %v s, with steps of %v s", i, times[i], step)
		}
	}
}

// TestFLVTimeEnds: after 24 days a second file begins, with its headers.
func TestFLVTimeEnds(t *testing.T) {
	limit := int(maxDuration / time.Millisecond)
	second := unit(picture, limit, true)
	second.Join = true
	_, files, _ := record(t, "movie", append(headers(), unit(picture, 0, true), unit(sound, limit-1, true), second, unit(sound, limit+5, true)))
	if len(files) != 2 {
		t.Fatalf("%d files", len(files))
	}
	for name, file := range files {
		if _, got := tags(t, file); len(got) != 4 {
			t.Errorf("%s: %d tags", name, len(got))
		}
	}
}

// full is a file on a disk that takes so many bytes.
type full struct {
	file
	left int
}

func (f *full) Write(p []byte) (int, error) {
	n, err := f.file.Write(p[:min(len(p), f.left)])
	f.left -= n
	if err == nil && n < len(p) {
		err = &os.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}
	}
	return n, err
}

// TestFullDisk: one clear error; what is whole stays and plays.
func TestFullDisk(t *testing.T) {
	for _, room := range []int{0, 100, scriptRoom + 50, scriptRoom + 1000, scriptRoom + writeBuffer + 777} {
		_, files, logs := record(t, "movie", append(headers(), seconds(0, 300)...), func(a *Archive) {
			a.create = func(root *os.Root, name string) (file, error) {
				f, err := create(root, name)
				return &full{f, room}, err
			}
		})
		if strings.Count(logs, "level=ERROR") != 1 || !strings.Contains(logs, "no space left") {
			t.Errorf("room for %d bytes: log %s", room, logs)
		}
		file := files["live/movie_TIME.flv"]
		if room < scriptRoom {
			if len(files) > 0 {
				t.Errorf("room for %d bytes: %v", room, files)
			}
			continue
		}
		meta, got := tags(t, file)
		if meta.Number("filesize") != float64(len(file)) || len(file) > room {
			t.Errorf("room for %d bytes: a file of %d that says %v", room, len(file), meta.Number("filesize"))
		}
		if room > scriptRoom+writeBuffer && len(got) < 500 {
			t.Errorf("room for %d bytes: %d tags", room, len(got))
		}
	}
}

// TestUnwritable: no folder can be made.
func TestUnwritable(t *testing.T) {
	_, files, logs := record(t, "movie", append(headers(), seconds(0, 1)...), func(a *Archive) {
		name := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		a.dir = name
	})
	if len(files) > 0 || strings.Count(logs, "level=ERROR") != 1 {
		t.Errorf("files %v, log %s", files, logs)
	}
}

// TestKilled: what a process that is killed leaves plays from the beginning to about its end.
func TestKilled(t *testing.T) {
	dir := t.TempDir()
	a := NewArchive(dir, flv.AppendBody, nil, slog.New(slog.DiscardHandler))
	s := script(append(headers(), seconds(0, 300)...))
	r := flvRecording{archive: a, stream: &Stream{App: "live", Name: "movie", Reader: &s}, log: a.log}
	units := make([]media.AccessUnit, 8000)
	n, _ := s.Read(t.Context(), units)
	for i := range units[:n] {
		if err := r.write(&units[i]); err != nil {
			t.Fatal(err)
		}
	}
	found, _ := filepath.Glob(filepath.Join(dir, "live", "*.flv.part"))
	if len(found) != 1 {
		t.Fatalf("found %q", found)
	}
	file, err := os.ReadFile(found[0])
	if err != nil {
		t.Fatal(err)
	}
	reader, count := flv.NewReader(bytes.NewReader(file)), 0
	if err := reader.ReadHeader(); err != nil {
		t.Fatal(err)
	}
	for {
		_, err := reader.ReadTag()
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		count++
	}
	if count < n-2*writeBuffer/120 {
		t.Errorf("%d tags of %d", count, n)
	}
	if err := r.finish(); err != nil {
		t.Error(err)
	}
	_ = r.root.Close()
}

// TestEvents: begin and end are told, with figures.
func TestEvents(t *testing.T) {
	bus := event.NewBus(event.Options{})
	cursor := bus.Follow()
	record(t, "movie", append(headers(), seconds(0, 2)...), func(a *Archive) { a.events = bus })
	bus.Close()
	var got []string
	for {
		e, err := cursor.Next(t.Context())
		if err != nil {
			break
		}
		d := e.Data.(told)
		got = append(got, fmt.Sprint(e.Type, " ", e.Stream, " ", withoutTime(d.File), " ", d.Seconds, " ", d.Bytes > 0))
	}
	want := []string{"recording.started live/movie live/movie_TIME.flv 0 false", "recording.completed live/movie live/movie_TIME.flv 2.01 true"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestScriptRoom: the head has one length, whatever is known.
func TestScriptRoom(t *testing.T) {
	v := &flvFile{}
	want := len(v.head())
	for range 3 * maxKeys {
		v.keys.add(time.Hour, 1<<40)
	}
	v.describe(amf.Append(nil, "onMetaData", amf.Object{{Name: "a", Value: strings.Repeat("x", 1500)}, {Name: "b", Value: strings.Repeat("x", 1500)}}))
	if got := len(v.head()); got != want {
		t.Errorf("a head of %d bytes, then of %d", want, got)
	}
	for size := spacerSize; size < 5000; size++ {
		properties := amf.ECMAArray(spacers(size))
		if got := len(amf.Append(nil, properties)) - len(amf.Append(nil, amf.ECMAArray{})); got != size {
			t.Fatalf("%d bytes of spacers for %d", got, size)
		}
	}
	if size := binary.BigEndian.Uint32(v.head()[want-4:]); int(size) != want-flv.FileHeaderSize-4 {
		t.Errorf("tag size %d", size)
	}
}
