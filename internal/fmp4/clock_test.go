package fmp4

import (
	"fmt"
	"testing"
	"time"

	"livego/internal/media"
)

// TestTicks: whole milliseconds of video are exact, other times go to the nearest tick.
func TestTicks(t *testing.T) {
	for _, c := range []struct {
		scale int64
		d     time.Duration
		want  int64
	}{
		{90_000, ms(1), 90}, {90_000, ms(-1), -90}, {90_000, 33_333_333, 3000}, {90_000, 5_555, 0}, {90_000, 5_556, 1},
		{90_000, -5_555, 0}, {90_000, -5_556, -1}, {90_000, maxTime, 415_051_741_658_465}, {44_100, ms(1), 44}, {44_100, ms(23), 1014}, {44_100, time.Hour, 158_760_000},
		{768_000, maxTime, 3_541_774_862_152_234},
	} {
		clock := clock{scale: c.scale}
		if got := clock.ticks(c.d); got != c.want {
			t.Errorf("%v at %d: %d, want %d", c.d, c.scale, got, c.want)
		}
		if back := clock.duration(clock.ticks(c.d)); (back - c.d).Abs() > time.Second/time.Duration(c.scale)/2+1 {
			t.Errorf("%v at %d comes back as %v", c.d, c.scale, back)
		}
	}
}

// TestVideoOrder: decode times rise strictly and never lie before the end of the fragment before,
// while presentation times stay exact.
func TestVideoOrder(t *testing.T) {
	track := h264Track(t)
	type step struct{ dts, next int } // next < 0 ends no fragment
	const no = -1
	for _, c := range []struct {
		name  string
		steps []step
		want  []int64 // decode times and the end, in ticks
	}{
		{"as announced", []step{{0, 40}, {40, 80}, {80, 120}}, []int64{0, 3600, 7200, 10800}},
		{"two pictures at one time", []step{{0, no}, {0, no}, {40, 80}}, []int64{0, 1, 3600, 7200}},
		{"the next one is earlier than announced", []step{{0, 100}, {40, no}, {80, no}, {120, 160}}, []int64{0, 9000, 9001, 10800, 14400}},
		{"the next one is later: a gap", []step{{0, 40}, {100, 140}}, []int64{0, 9000, 12600}},
		{"not announced: as long as the one before", []step{{0, no}, {20, 0}, {40, 0}}, []int64{0, 1800, 3600, 5400}},
		{"not announced at all: the frame rate of the header", []step{{0, 0}, {40, 0}}, []int64{0, 3600, 7200}},
		{"announced in the past", []step{{100, 50}, {140, 180}}, []int64{9000, 12600, 16200}},
		{"announced far away", []step{{0, 3_600_000}, {40, 80}}, []int64{0, 3600, 7200}},
		{"a gap is no usual duration", []step{{0, no}, {20_000, 0}, {20_040, 0}}, []int64{0, 1_800_000, 1_803_600, 1_807_200}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWriter(t, track)
			var f Fragment
			var b []byte
			var total Written
			for i, s := range c.steps {
				u := picture(track, ms(s.dts), i == 0, 5)
				u.PTS = ms(s.dts + 33)
				if f.Units = append(f.Units, u); s.next >= 0 {
					var err error
					f.Next = ms(s.next)
					if b, total, err = w.Append(b, &f); err != nil {
						t.Fatal(err)
					}
					f = Fragment{}
				}
			}
			for i, s := range readFragments(t, b) {
				if s.dts != c.want[i] || s.pts != int64(c.steps[i].dts+33)*90 {
					t.Errorf("picture %d: decoded at %d, shown at %d, want %d, %d", i, s.dts, s.pts, c.want[i], (c.steps[i].dts+33)*90)
				}
			}
			end := total.Start + total.Duration
			if want := c.want[len(c.want)-1]; int64(end)*9/100_000 != want {
				t.Errorf("end %v, want %d ticks", end, want)
			}
		})
	}
}

// TestVideoEarly: decode times of an encoder that has pictures shown before they are decoded lie
// earlier, for good, as soon as it is known.
func TestVideoEarly(t *testing.T) {
	track := h264Track(t)
	var units []media.AccessUnit
	for i, shown := range []int{0, 120, 40, 80, 240, 160, 200} { // decode time follows from the order
		u := picture(track, ms(i*40), i == 0, 5)
		u.PTS = ms(shown)
		units = append(units, u)
	}
	for _, c := range []struct {
		n    int
		want []int64
	}{
		{7, []int64{0, 1, 3600, 7200, 10800, 14400, 18000}},    // all seen at once; no time is below zero
		{2, []int64{0, 3600, 7200, 7201, 10800, 14400, 18000}}, // seen in the second fragment, which cannot overlap the first
		{1, []int64{0, 3600, 7200, 7201, 10800, 14400, 18000}}, // the third and the fourth are shown before they are decoded
	} {
		for i, s := range readFragments(t, cut(t, newWriter(t, track), units, c.n)) {
			if s.dts != c.want[i] || s.pts != units[i].PTS.Milliseconds()*90 {
				t.Errorf("fragments of %d, picture %d: decoded at %d, shown at %d, want %d, %d", c.n, i, s.dts, s.pts, c.want[i], units[i].PTS.Milliseconds()*90)
			}
		}
	}
}

// TestAudioCount: frames with times rounded down to milliseconds lie without gap and overlap, in
// fragments of any size.
func TestAudioCount(t *testing.T) {
	for _, c := range []struct {
		track   *media.Track
		samples int
		frame   []byte
	}{
		{aacTrack(t), 1024, oneNAL(5)[4:]},
		{audioTrack(t, media.MP3, "", 44100, 2, 1152), 1152, oneNAL(5)[4:]},
		{audioTrack(t, media.MP3, "", 22050, 1, 576), 576, oneNAL(5)[4:]},
		{audioTrack(t, media.Opus, opusMono, 48000, 1, 0), 120, []byte{0xE0, 1}}, // 2.5 ms
		{audioTrack(t, media.FLAC, flacMono, 44100, 1, 4608), 4608, oneNAL(5)[4:]},
	} {
		rate := c.track.SampleRate
		frames := 30 * rate / c.samples
		for _, n := range []int{1, 9} {
			w, b := newWriter(t, c.track), []byte(nil)
			start := int64(0)
			for i := 0; i+n <= frames; i += n {
				var f Fragment
				for j := range n {
					at := ms(700 + (i+j)*c.samples*1000/rate)
					f.Units = append(f.Units, media.AccessUnit{Track: c.track, DTS: at, PTS: at, Data: c.frame})
				}
				b = mustAppend(t, w, b[:0], f)
				part := readFirst(t, b)
				if i == 0 {
					start = part[0].dts
				}
				for j, s := range part {
					want := start + int64((i+j)*c.samples)
					if s.dts != want || s.pts != want || s.duration != int64(c.samples) {
						t.Fatalf("%s, frame %d: %+v, want %d", c.track.Codec, i+j, s, want)
					}
				}
			}
		}
	}
}

// TestAudioResync: frames that are lost leave a gap, and clocks that drift apart are followed,
// without overlap. Times are those of encoders that count, but for what the case says.
func TestAudioResync(t *testing.T) {
	track := aacTrack(t)
	frame := time.Second * 1024 / 48000
	for _, c := range []struct {
		name string
		at   func(i int) time.Duration
		// off is how far a frame may lie from its own time; jumps says how often it does not follow
		// the one before.
		off   time.Duration
		jumps int
	}{
		{"jitter of 5 ms", func(i int) time.Duration { return ms(100) + time.Duration(i)*frame + ms(i*7%11-5) }, ms(11), 0},
		{"frames in threes of one time", func(i int) time.Duration { return time.Duration(i/3*3) * frame }, ms(44), 0},
		{"three frames lost", func(i int) time.Duration { return time.Duration(i+i/100*3) * frame }, ms(2), 9},
		{"time faster than samples by 1 %", func(i int) time.Duration { return time.Duration(i) * frame * 101 / 100 }, ms(12), 20},
		{"samples faster than time by 1 %", func(i int) time.Duration { return time.Duration(i) * frame * 99 / 100 }, ms(52), 16},
		{"three times too many samples", func(i int) time.Duration { return time.Duration(i) * frame / 3 }, ms(1025), 1000},
		{"time stands still, then goes on", func(i int) time.Duration { return time.Duration(max(0, i-40)) * frame }, ms(500), 82},
	} {
		for _, n := range []int{1, 4, 1000} {
			t.Run(fmt.Sprint(c.name, ", fragments of ", n), func(t *testing.T) {
				var units []media.AccessUnit
				for i := range 1000 {
					units = append(units, sound(track, c.at(i).Truncate(time.Millisecond), 5))
				}
				end, jumps := int64(-1), 0
				for i, s := range readFragments(t, cut(t, newWriter(t, track), units, n)) {
					off := time.Duration(s.dts)*time.Second/48000 - units[i].DTS
					if off.Abs() > c.off {
						t.Fatalf("frame %d of %v lies %v off", i, units[i].DTS, off)
					}
					if s.dts < end || s.duration < 1 || s.duration > 6*1024 {
						t.Fatalf("frame %d at %d lasts %d, the one before ends at %d", i, s.dts, s.duration, end)
					}
					if s.dts != end && i > 0 || s.duration != 1024 {
						jumps++
					}
					end = s.dts + s.duration
				}
				if jumps > c.jumps {
					t.Errorf("%d jumps", jumps)
				}
			})
		}
	}
}

// TestAudioUnknownLength: frames that do not say how long they last lie where their times put them.
func TestAudioUnknownLength(t *testing.T) {
	track := audioTrack(t, media.AAC, "f94640", 48000, 2, 0)
	units := []media.AccessUnit{sound(track, ms(0), 5), sound(track, ms(21), 5), sound(track, ms(42), 5), sound(track, ms(64), 5)}
	units[1].Nanos = 500_000
	var times []int64
	for _, s := range readFragments(t, cut(t, newWriter(t, track), units, 2)) {
		times = append(times, s.dts, s.duration)
	}
	if want := []int64{0, 1032, 1032, 984, 2016, 1056, 3072, 1056}; fmt.Sprint(times) != fmt.Sprint(want) {
		t.Errorf("times and durations %v, want %v", times, want)
	}
}
