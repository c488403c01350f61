package server

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"livego/internal/media"
)

// limitLog is a watch that notes what it does.
type limitLog struct {
	*limitWatch
	warned []string
	closes []time.Duration
	ended  error
}

func watchLimits(t testing.TB, begun time.Time, texts ...string) *limitLog {
	t.Helper()
	log := new(limitLog)
	log.limitWatch = &limitWatch{
		begun: begun, gauge: new(gauge), passed: make(map[string]*passing),
		told: func(limit, _ string, closes time.Duration) {
			log.warned, log.closes = append(log.warned, limit), append(log.closes, closes)
		},
		close: func(cause error) { log.ended = cause },
	}
	for _, text := range texts {
		name, value, _ := strings.Cut(text, "=")
		if err := log.limits.Set(name, value); err != nil {
			t.Fatal(err)
		}
	}
	return log
}

// What is measured is warned of at once, and closes who goes on with it for ten seconds.
func TestMeasuredLimits(t *testing.T) {
	begin := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	for _, tc := range []struct {
		limit string
		over  func(g *gauge) (bitRate int)
		says  string
	}{
		{"publish_max_bit_rate=2M", func(*gauge) int { return 3_000_000 }, "3.0 Mbit/s"},
		{"publish_max_frame_rate=30", func(g *gauge) int { g.rate.Store(50_000); return 0 }, "50 pictures"},
		{"publish_max_key_frame_interval=4s", func(g *gauge) int { g.keyInterval.Store(int64(10 * time.Second)); return 0 }, "10s apart"},
		{"publish_max_key_frame_interval=4s", func(g *gauge) int { g.sinceKey.Store(int64(10 * time.Second)); return 0 }, "10s apart"},
	} {
		w := watchLimits(t, begin, tc.limit)
		name, _, _ := strings.Cut(tc.limit, "=")
		for second := range 11 {
			if second == 5 { // within the limit for a moment: it begins anew
				*w.gauge = gauge{}
				w.check(begin.Add(5*time.Second), 0)
				continue
			}
			w.check(begin.Add(time.Duration(second)*time.Second), tc.over(w.gauge))
		}
		if !slices.Equal(w.warned, []string{name}) || w.ended != nil || w.closes[0] != limitGrace {
			t.Errorf("%s: warned %q, ended %v", tc.limit, w.warned, w.ended)
		}
		for second := 11; second < 17; second++ {
			w.check(begin.Add(time.Duration(second)*time.Second), tc.over(w.gauge))
		}
		if !errors.Is(w.ended, errOverLimit) || !strings.Contains(w.ended.Error(), tc.says) {
			t.Errorf("%s: ended %v, want %q", tc.limit, w.ended, tc.says)
		}
		only := watchLimits(t, begin, tc.limit, "publish_limits=warn")
		for second := range 60 {
			only.check(begin.Add(time.Duration(second)*time.Second), tc.over(only.gauge))
		}
		if !slices.Equal(only.warned, []string{name}) || only.ended != nil || only.closes[0] >= 0 {
			t.Errorf("%s, warn: warned %q, ended %v", tc.limit, only.warned, only.ended)
		}
	}
}

// What lies within the tolerance, or is not bounded, is nobody's fault.
func TestWithinLimits(t *testing.T) {
	begin := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	w := watchLimits(t, begin, "publish_max_frame_rate=30", "publish_max_key_frame_interval=2", "publish_max_bit_rate=1000k", "publish_max_picture=1280x720", "publish_codecs=h264,AAC")
	w.gauge.rate.Store(30_400)
	w.gauge.keyInterval.Store(int64(2002 * time.Millisecond))
	for second := range 3600 {
		w.check(begin.Add(time.Duration(second)*time.Second), 1_040_000)
	}
	for _, track := range []media.Track{
		{Kind: media.Video, Codec: media.H264, Width: 720, Height: 1280}, {Kind: media.Audio, Codec: media.AAC}, {Kind: media.Data},
	} {
		if err := w.admit(begin, &track); err != nil {
			t.Error(err)
		}
	}
	if len(w.warned) > 0 || w.ended != nil {
		t.Errorf("warned %q, ended %v", w.warned, w.ended)
	}
}

// Who has published for as long as it may was warned a minute before.
func TestLimitOfTime(t *testing.T) {
	begin := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	w := watchLimits(t, begin, "publish_max_time=2h")
	w.check(begin.Add(118*time.Minute), 0)
	wantEqual(t, "warnings", len(w.warned), 0)
	w.check(begin.Add(119*time.Minute), 0)
	w.check(begin.Add(119*time.Minute+time.Second), 0)
	if !slices.Equal(w.closes, []time.Duration{time.Minute}) || w.ended != nil {
		t.Errorf("closes in %v, ended %v", w.closes, w.ended)
	}
	w.check(begin.Add(2*time.Hour), 0)
	if !errors.Is(w.ended, errOverLimit) {
		t.Errorf("ended %v", w.ended)
	}
}

func TestForbiddenTracks(t *testing.T) {
	now := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	w := watchLimits(t, now, "publish_max_picture=1280x720", "publish_codecs=H.264")
	for what, track := range map[string]media.Track{
		"1920x1080": {Kind: media.Video, Codec: media.H264, Width: 1920, Height: 1080},
		"AV1":       {Kind: media.Video, Codec: media.AV1},
		"fLaC":      {Kind: media.Audio, Name: "fLaC"},
	} {
		if err := w.admit(now, &track); !errors.Is(err, errOverLimit) || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
	}
	only := watchLimits(t, now, "publish_codecs=AAC", "publish_limits=warn")
	for range 100 {
		if err := only.admit(now, &media.Track{Kind: media.Video, Codec: media.H264}); err != nil {
			t.Error(err)
		}
	}
	wantEqual(t, "warnings", len(only.warned), 1)
}

// TestLimitTexts: what is written for limits, and how it reads back.
func TestLimitTexts(t *testing.T) {
	for _, tc := range []struct{ name, text, want string }{
		{"publish_max_bit_rate", "6000000", "6000000"}, {"publish_max_bit_rate", "6M", "6000000"},
		{"publish_max_bit_rate", "2.5 Mbit/s", "2500000"}, {"publish_max_bit_rate", "800k", "800000"}, {"publish_max_bit_rate", "", "0"},
		{"publish_max_picture", "1080X1920", "1920x1080"}, {"publish_max_picture", "0", ""},
		{"publish_max_frame_rate", "60", "60"},
		{"publish_max_key_frame_interval", "4", "4s"}, {"publish_max_time", "12h", "12h0m0s"},
		{"publish_codecs", "h264, aac,E-AC-3", "H264,AAC,E-AC-3"}, {"publish_limits", "warn", "warn"}, {"publish_limits", "", "close"},
	} {
		var l PublishLimits
		if err := l.Set(tc.name, tc.text); err != nil || l.Text(tc.name) != tc.want {
			t.Errorf("%s: %q reads back as %q (%v), want %q", tc.name, tc.text, l.Text(tc.name), err, tc.want)
		}
		again := l
		if err := again.Set(tc.name, l.Text(tc.name)); err != nil || again.Text(tc.name) != tc.want {
			t.Errorf("%s: %q does not read back: %v", tc.name, tc.want, err)
		}
	}
	for _, bad := range []struct{ name, text string }{
		{"publish_max_bit_rate", "fast"}, {"publish_max_bit_rate", "-1"}, {"publish_max_bit_rate", "NaN"}, {"publish_max_bit_rate", "1e300G"}, {"publish_max_bit_rate", "M"},
		{"publish_max_picture", "1080p"}, {"publish_max_picture", "0x1080"}, {"publish_max_picture", "99999x1"},
		{"publish_max_frame_rate", "29.97"}, {"publish_max_key_frame_interval", "-1s"}, {"publish_max_time", "Inf"}, {"publish_max_time", "1e30"},
		{"publish_codecs", "DivX"}, {"publish_limits", "kill"}, {"publish_max_love", "1"},
	} {
		if err := new(PublishLimits).Set(bad.name, bad.text); err == nil {
			t.Errorf("%s takes %q", bad.name, bad.text)
		}
	}
}
