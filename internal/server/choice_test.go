package server

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"livego/internal/fanout"
	"livego/internal/live"
	"livego/internal/media"
	"livego/internal/rtmp"
)

func TestReadChoice(t *testing.T) {
	for query, want := range map[string]choice{
		"":                            {},
		"token=1&a=b":                 {},
		"rendition=720p":              {rendition: "720p"},
		"x=%zz&rendition=a":           {rendition: "a"},
		"video=0":                     {view: fanout.View{Video: fanout.Track(0)}},
		"video=255&audio=7":           {view: fanout.View{Video: fanout.Track(255), Audio: fanout.Track(7)}},
		"video=none&rendition=a-b_c":  {rendition: "a-b_c", view: fanout.View{Video: fanout.None}},
		"audio=none&audio=1&video=01": {view: fanout.View{Video: fanout.Track(1), Audio: fanout.None}},
	} {
		got, err := readChoice(query)
		if err != nil || got != want {
			t.Errorf("%q: %+v, %v, want %+v", query, got, err, want)
		}
		if got.asksTracks() != (want.view != fanout.View{}) {
			t.Errorf("%q: asks for tracks: %v", query, got.asksTracks())
		}
	}
	for _, query := range []string{"rendition=", "rendition=a.b", "video=", "video=256", "video=-1", "video=1x", "audio=None", "audio=+1"} {
		if got, err := readChoice(query); err == nil {
			t.Errorf("%q: %+v", query, got)
		}
	}
}

func TestCheckTracks(t *testing.T) {
	video, second, audio := &media.Track{Kind: media.Video}, &media.Track{Kind: media.Video, ID: 2}, &media.Track{Kind: media.Audio}
	all := []*media.Track{video, second, audio}
	for _, c := range []struct {
		query  string
		tracks []*media.Track
		ok     bool
	}{
		{"video=0", all, true}, {"video=2&audio=0", all, true}, {"video=none", all, true}, {"audio=none", all, true},
		{"video=1", all, false}, {"audio=1", all, false}, {"video=none&audio=none", all, false}, {"audio=0", all[:2], false},
		{"video=none", all[:2], false}, {"audio=none", all[2:], false}, {"video=0", nil, false},
	} {
		pick, err := readChoice(c.query)
		if err != nil {
			t.Fatal(err)
		}
		if err := checkTracks(pick.view, c.tracks); (err == nil) != c.ok {
			t.Errorf("%s of %d tracks: %v", c.query, len(c.tracks), err)
		}
	}
}

// TestAwaitChoice: a track that the metadata does not name may come a little after those by which
// the stream has settled.
func TestAwaitChoice(t *testing.T) {
	for _, c := range []struct {
		comes time.Duration
		ok    bool
	}{{lateTrack / 2, true}, {2 * lateTrack, false}} {
		synctest.Test(t, func(t *testing.T) {
			s := new(Server)
			s.settings.Store(&settings{opt: Options{RTMP: rtmp.ServerOptions{ReadTimeout: time.Minute}}})
			pub, err := live.NewHub(live.Options{}).Publish(live.Name{App: "live", Stream: "movie"}, func(error) {})
			if err != nil {
				t.Fatal(err)
			}
			write := func(id uint8, kind media.Kind, header media.Header) {
				u := media.AccessUnit{Track: &media.Track{Kind: kind, ID: id}, Header: header, RandomAccess: true, Body: []byte{1}, Data: []byte{1}}
				if err := pub.Write([]media.AccessUnit{u}); err != nil {
					t.Fatal(err)
				}
			}
			pub.Expect(1, 0)
			write(0, media.Video, media.SequenceHeader)
			write(0, media.Video, media.Sample)
			done := make(chan error, 1)
			go func() {
				done <- s.awaitChoice(t.Context(), pub.Publication(), choice{view: fanout.View{Video: fanout.Track(1)}})
			}()
			time.Sleep(c.comes)
			write(1, media.Video, media.SequenceHeader)
			if err := <-done; errors.Is(err, errNoTrack) == c.ok {
				t.Errorf("the track comes after %v: %v", c.comes, err)
			}
			pub.Unpublish()
		})
	}
}

// FuzzReadChoice: whatever a query holds, what comes out may be used in names and has no more than
// a track of each kind.
func FuzzReadChoice(f *testing.F) {
	for _, seed := range []string{"rendition=720p", "video=1&audio=none", "rendition=%2e%2e", "video=99999999999999999999", "&&=;%"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, query string) {
		c, err := readChoice(query)
		if err != nil {
			return
		}
		if c.rendition != "" && live.ValidateRendition(c.rendition) != nil {
			t.Errorf("rendition %q", c.rendition)
		}
		for _, choice := range []fanout.Choice{c.view.Video, c.view.Audio} {
			if choice < fanout.None || choice > fanout.Track(255) {
				t.Errorf("track %d", choice)
			}
		}
		if c.view.Whole {
			t.Error("nobody asks for everything")
		}
	})
}
