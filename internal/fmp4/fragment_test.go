package fmp4

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/formats/fmp4"

	"livego/internal/media"
)

// sampleSeen is a sample as the library reads it, in ticks.
type sampleSeen struct {
	dts, pts, duration int64
	key                bool
	data               string
}

// readFragments reads the samples of fragments with a library, and checks what it does not look at.
func readFragments(t testing.TB, b []byte) (samples []sampleSeen) {
	t.Helper()
	var parts fmp4.Parts
	if err := parts.Unmarshal(b); err != nil {
		t.Fatal(err)
	}
	for i, part := range parts {
		if part.SequenceNumber != uint32(i+1) {
			t.Errorf("fragment %d has number %d", i+1, part.SequenceNumber)
		}
		if len(part.Tracks) != 1 || part.Tracks[0].ID != parts[0].Tracks[0].ID {
			t.Fatalf("fragment with tracks %+v", part.Tracks)
		}
		at := int64(part.Tracks[0].BaseTime)
		for _, s := range part.Tracks[0].Samples {
			samples = append(samples, sampleSeen{at, at + int64(s.PTSOffset), int64(s.Duration), !s.IsNonSyncSample, string(s.Payload)})
			at += int64(s.Duration)
		}
	}
	return samples
}

// readFirst reads the samples of one fragment of any number.
func readFirst(t testing.TB, b []byte) (samples []sampleSeen) {
	t.Helper()
	var parts fmp4.Parts
	if err := parts.Unmarshal(b); err != nil {
		t.Fatal(err)
	}
	at := int64(parts[0].Tracks[0].BaseTime)
	for _, s := range parts[0].Tracks[0].Samples {
		samples = append(samples, sampleSeen{at, at + int64(s.PTSOffset), int64(s.Duration), !s.IsNonSyncSample, string(s.Payload)})
		at += int64(s.Duration)
	}
	return samples
}

func mustAppend(t testing.TB, w *Writer, dst []byte, f Fragment) []byte {
	t.Helper()
	dst, _, err := w.Append(dst, &f)
	if err != nil {
		t.Fatal(err)
	}
	return dst
}

// cut writes units as fragments of n each, four to a segment.
func cut(t testing.TB, w *Writer, units []media.AccessUnit, n int) (b []byte) {
	t.Helper()
	for i := 0; i < len(units); i += n {
		f := Fragment{Units: units[i:min(i+n, len(units))], Segment: i/n%4 == 0}
		if i+n < len(units) {
			f.Next = units[i+n].DTS
		}
		b = mustAppend(t, w, b, f)
	}
	return b
}

func TestFragmentGolden(t *testing.T) {
	track := h264Track(t)
	key, p, b := picture(track, ms(1000), true, 20), picture(track, ms(1040), false, 9), picture(track, ms(1080), false, 5)
	key.PTS, p.PTS, b.PTS, b.Nanos = ms(1040), ms(1120), ms(1079), 500_000
	f := Fragment{
		Units: []media.AccessUnit{key, p, b}, Next: ms(1120), Segment: true,
		Wall: time.Unix(1_700_000_000, 500_000_000),
		Events: []Event{
			{Scheme: SchemeID3, Value: "v", ID: 7, Time: ms(1100), Duration: ms(500), Message: []byte("ID3...")},
			{Scheme: SchemeSCTE35, Time: ms(0), Duration: -1, Message: []byte{0xFC}},
		},
	}
	w := newWriter(t, track)
	got := mustAppend(t, w, nil, f)
	golden(t, "fragment-video.txt", dump(t, got))

	audio := aacTrack(t)
	w = newWriter(t, audio)
	got = mustAppend(t, w, nil, Fragment{Units: []media.AccessUnit{sound(audio, ms(1000), 6), sound(audio, ms(1021), 7)}, Segment: true})
	got = mustAppend(t, w, got, Fragment{Units: []media.AccessUnit{sound(audio, ms(1043), 8)}})
	golden(t, "fragment-audio.txt", dump(t, got))
}

// TestVideoTimes reads pictures back: bytes, decode time, presentation time, duration, random
// access.
func TestVideoTimes(t *testing.T) {
	track := h264Track(t)
	var units []media.AccessUnit
	var want []sampleSeen
	for i := range 50 {
		u := picture(track, ms(i*40), i%10 == 0, 10+i)
		u.PTS = u.DTS + ms([]int{40, 120, 40, 0}[i%4]) // as with B-frames
		u.Nanos = uint32(i * 20_000)
		units = append(units, u)
		pts := int64(u.PTS+time.Duration(u.Nanos)) * 9 / 100_000
		if int64(u.PTS+time.Duration(u.Nanos))*9%100_000 >= 50_000 {
			pts++
		}
		want = append(want, sampleSeen{int64(i) * 3600, pts, 3600, i%10 == 0, string(u.Data)})
	}
	for _, n := range []int{1, 3, 10, 50} {
		compare(t, readFragments(t, cut(t, newWriter(t, track), units, n)), want)
	}
}

func compare(t *testing.T, got, want []sampleSeen) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d samples, want %d", len(got), len(want))
	}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("sample %d is %+v, want %+v", i, got[i], want[i])
		}
	}
}

func TestWritten(t *testing.T) {
	track := h264Track(t)
	w := newWriter(t, track)
	units := []media.AccessUnit{picture(track, ms(500), true, 30), picture(track, ms(533), false, 10)}
	f := Fragment{Units: units, Next: ms(567), Segment: true, Wall: time.Unix(1, 0), Events: []Event{{Scheme: SchemeID3}}}
	b, got, err := w.Append([]byte("before"), &f)
	if err != nil {
		t.Fatal(err)
	}
	want := Written{Start: ms(500), Duration: ms(67), Independent: true, FirstEnd: bytes.Index(b, units[0].Data) + len(units[0].Data) - len("before")}
	if got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	_, got, _ = w.Append(nil, &Fragment{Units: []media.AccessUnit{picture(track, ms(567), false, 30)}})
	if got.Independent || got.Start != ms(567) || got.Duration != ms(34) {
		t.Errorf("%+v", got)
	}
}

// TestAV1Delimiter: samples lack the temporal delimiter.
func TestAV1Delimiter(t *testing.T) {
	track := videoTrack(t, media.AV1, av1Main)
	u := picture(track, 0, true, 1)
	u.Data = unhex(t, "1200 0a03 000000 32 0a 10001000000000000000")
	if err := Check(&u); err != nil {
		t.Fatal(err)
	}
	got := readFragments(t, mustAppend(t, newWriter(t, track), nil, Fragment{Units: []media.AccessUnit{u}}))
	if got[0].data != string(u.Data[2:]) {
		t.Errorf("sample % x", got[0].data)
	}
}

func TestCheck(t *testing.T) {
	h264, av1, aac := h264Track(t), videoTrack(t, media.AV1, av1Main), aacTrack(t)
	short := videoTrack(t, media.H264, "0164000bfe"+avcMain[10:])
	short.NALLengthSize = 1
	pair := videoTrack(t, media.H264, "0164000bfd"+avcMain[10:])
	for _, c := range []struct {
		name  string
		track *media.Track
		data  string
		want  error
	}{
		{"a NAL unit", h264, "00000002 6588", nil},
		{"two NAL units", h264, "00000001 09 00000002 6588", nil},
		{"lengths of 1 byte", short, "02 6588 01 09", nil},
		{"lengths of 2 bytes", pair, "0002 6588", nil},
		{"nothing", h264, "", ErrData},
		{"NAL unit cut off", h264, "00000003 6588", ErrData},
		{"length cut off", h264, "00000002 6588 0000", ErrData},
		{"a length that lies", h264, "ffffffff 6588", ErrData},
		{"NAL unit of nothing", h264, "00000000 00000002 6588", ErrData},
		{"Annex B", h264, "00000001 6588848400", ErrData},
		{"OBUs", av1, "0a01 00 3202 1000", nil},
		{"OBU without size at the end", av1, "0a01 00 30 1000", nil},
		{"OBU with extension", av1, "3e 48 02 1000", nil},
		{"only a delimiter", av1, "1200", ErrData},
		{"OBU cut off", av1, "0a05 00", ErrData},
		{"OBU size cut off", av1, "0a80", ErrData},
		{"OBU extension cut off", av1, "3e", ErrData},
		{"OBU of a giant size", av1, "0affffffff7f", ErrData},
		{"OBU size without end", av1, "0a8080808080808080808000", ErrData},
		{"forbidden bit", av1, "8a01 00", ErrData},
		{"AAC", aac, "21", nil},
		{"no AAC", aac, "", ErrData},
	} {
		u := media.AccessUnit{Track: c.track, Data: unhex(t, c.data)}
		if err := Check(&u); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
	u := media.AccessUnit{Track: aac, Data: make([]byte, maxUnit+1)}
	if err := Check(&u); !errors.Is(err, ErrData) {
		t.Errorf("giant sample: %v", err)
	}
	for _, u := range []media.AccessUnit{{}, {Track: aac, Header: media.SequenceHeader, Data: []byte{1}}} {
		if err := Check(&u); !errors.Is(err, ErrTrack) {
			t.Errorf("%+v: %v", u, err)
		}
	}
	for _, times := range [][2]time.Duration{{-1, 0}, {maxTime + 1, maxTime}, {ms(3000), ms(999)}, {0, ms(8001)}} {
		u := media.AccessUnit{Track: aac, DTS: times[0], PTS: times[1], Data: []byte{1}}
		if err := Check(&u); !errors.Is(err, ErrTime) {
			t.Errorf("times %v: %v", times, err)
		}
	}
}

// TestAppendErrors: a fragment that is refused leaves no trace.
func TestAppendErrors(t *testing.T) {
	track := h264Track(t)
	good := []media.AccessUnit{picture(track, ms(100), true, 20), picture(track, ms(140), false, 20)}
	later := []media.AccessUnit{picture(track, ms(180), true, 20)}
	want := mustAppend(t, newWriter(t, track), nil, Fragment{Units: good, Next: ms(180)})
	first := len(want)
	w := newWriter(t, track)
	mustAppend(t, w, nil, Fragment{Units: good, Next: ms(180)})
	want = mustAppend(t, w, want, Fragment{Units: later})

	w = newWriter(t, track)
	got := mustAppend(t, w, nil, Fragment{Units: good, Next: ms(180)})
	with := func(change func(u *media.AccessUnit)) Fragment {
		f := Fragment{Units: []media.AccessUnit{picture(track, ms(180), true, 20), picture(track, ms(220), false, 20)}}
		change(&f.Units[1])
		return f
	}
	for name, c := range map[string]struct {
		f    Fragment
		want error
	}{
		"no units":                         {Fragment{}, ErrData},
		"many units":                       {Fragment{Units: make([]media.AccessUnit, maxUnits+1)}, ErrData},
		"another track":                    {with(func(u *media.AccessUnit) { u.Track = h264Track(t) }), ErrTrack},
		"a header":                         {with(func(u *media.AccessUnit) { u.Header = media.Colour }), ErrTrack},
		"no data":                          {with(func(u *media.AccessUnit) { u.Data = nil }), ErrData},
		"decode time falls":                {with(func(u *media.AccessUnit) { u.DTS = ms(179) }), ErrTime},
		"decode time jumps":                {with(func(u *media.AccessUnit) { u.DTS, u.PTS = time.Hour, time.Hour }), ErrTime},
		"presentation far off":             {with(func(u *media.AccessUnit) { u.PTS = time.Hour }), ErrTime},
		"falls behind the fragment before": {Fragment{Units: []media.AccessUnit{picture(track, ms(139), true, 20)}}, ErrTime},
		"giant event":                      {Fragment{Units: later, Events: []Event{{Message: make([]byte, maxEvent)}}}, ErrData},
		"zero byte in scheme":              {Fragment{Units: later, Events: []Event{{Scheme: "a\x00b"}}}, ErrData},
		"zero byte in value":               {Fragment{Units: later, Events: []Event{{Value: "\x00"}}}, ErrData},
		"event before time":                {Fragment{Units: later, Events: []Event{{Time: -1}}}, ErrTime},
	} {
		dst, written, err := w.Append(got, &c.f)
		if !errors.Is(err, c.want) || len(dst) != first || written != (Written{}) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	got = mustAppend(t, w, got, Fragment{Units: later})
	if !bytes.Equal(got, want) {
		t.Error("errors changed what is written later")
	}
}

// TestFragmentTooLong checks the bound on a fragment with units that share their bytes.
func TestFragmentTooLong(t *testing.T) {
	track := aacTrack(t)
	u := sound(track, 0, 2)
	u.Data = make([]byte, maxUnit)
	f := Fragment{}
	for range maxFragment/maxUnit + 1 {
		f.Units = append(f.Units, u)
	}
	if _, _, err := newWriter(t, track).Append(nil, &f); !errors.Is(err, ErrData) {
		t.Error(err)
	}
}

// TestPartsMakeSegment: a segment is what its parts are in a row, whatever the cut, but for the
// fragments' own headers.
func TestPartsMakeSegment(t *testing.T) {
	track := h264Track(t)
	var units []media.AccessUnit
	for i := range 20 {
		units = append(units, picture(track, ms(i*40), i == 0, 50+i))
	}
	w, parts, segment := newWriter(t, track), [][]byte{}, []byte{}
	for i := 0; i < 20; i += 5 {
		f := Fragment{Units: units[i : i+5], Next: ms((i + 5) * 40), Segment: i == 0}
		part := mustAppend(t, w, nil, f)
		parts, segment = append(parts, part), append(segment, part...)
	}
	whole := newWriter(t, track)
	var appended []byte
	for i := 0; i < 20; i += 5 {
		appended = mustAppend(t, whole, appended, Fragment{Units: units[i : i+5], Next: ms((i + 5) * 40), Segment: i == 0})
	}
	if !bytes.Equal(bytes.Join(parts, nil), appended) || !bytes.Equal(segment, appended) {
		t.Error("parts in a row are not what is written in a row")
	}
	compare(t, readFragments(t, segment), readFragments(t, mustAppend(t, newWriter(t, track), nil, Fragment{Units: units, Next: ms(800)})))
}

func TestAppendAllocs(t *testing.T) {
	video, audio := h264Track(t), aacTrack(t)
	for _, track := range []*media.Track{video, audio, audioTrack(t, media.Opus, opusMono, 48000, 1, 0)} {
		w := newWriter(t, track)
		f := Fragment{Segment: true, Wall: time.Unix(1, 0), Events: []Event{{Scheme: SchemeID3, Message: make([]byte, 100)}}}
		for i := range 10 {
			f.Units = append(f.Units, picture(track, ms(i*20), i == 0, 1000))
		}
		dst := make([]byte, 0, 64<<10)
		if n := testing.AllocsPerRun(100, func() {
			for i := range f.Units {
				f.Units[i].DTS += ms(200)
				f.Units[i].PTS = f.Units[i].DTS
				if Check(&f.Units[i]) != nil {
					t.Fatal("refused")
				}
			}
			if _, _, err := w.Append(dst[:0], &f); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", track.Codec, n)
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	track := h264Track(b)
	w := newWriter(b, track)
	var f Fragment
	for i := range 6 {
		f.Units = append(f.Units, picture(track, ms(i*33), i == 0, 11_000))
	}
	var dst []byte
	b.SetBytes(6 * 11_000)
	b.ReportAllocs()
	for b.Loop() {
		for i := range f.Units {
			f.Units[i].DTS += ms(200)
			f.Units[i].PTS = f.Units[i].DTS
		}
		dst, _, _ = w.Append(dst[:0], &f)
	}
}

// TestAppendHead: a head and the payloads are the fragment.
func TestAppendHead(t *testing.T) {
	track := h264Track(t)
	whole, pieces := newWriter(t, track), newWriter(t, track)
	for i := range 3 {
		f := Fragment{Segment: i == 0, Next: ms(i*80 + 80), Units: []media.AccessUnit{
			picture(track, ms(i*80), i == 0, 40), picture(track, ms(i*80+40), false, 30),
		}}
		want, written, err := whole.Append(nil, &f)
		got, alike, err2 := pieces.AppendHead(nil, &f)
		for k := range f.Units {
			got = append(got, Payload(&f.Units[k])...)
		}
		if err != nil || err2 != nil || written != alike || !bytes.Equal(got, want) {
			t.Errorf("fragment %d: %v %v, %+v %+v, %d bytes, want %d", i, err, err2, alike, written, len(got), len(want))
		}
	}
}
