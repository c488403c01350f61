package v1

import (
	"net/http"
	"slices"
	"testing"
	"time"
)

func (w *world) Recordings() List[Recording] {
	return List[Recording]{slices.Clone(w.recorded), w.silent}
}

func (w *world) RecordingOf(stream string) (Recording, bool) {
	i := slices.IndexFunc(w.recorded, func(r Recording) bool { return r.Stream == stream && r.State == "live" })
	if i < 0 {
		return Recording{}, false
	}
	return w.recorded[i], true
}

func (w *world) StartRecording(stream string) (Recording, error) {
	switch stream {
	case "off/a":
		return Recording{}, ErrNotRecorded
	case "live/away":
		return Recording{}, ErrNotPackaged
	}
	if r, ok := w.RecordingOf(stream); ok {
		return r, nil
	}
	r := Recording{ID: "r9", Stream: stream, State: "live", Started: began.Add(time.Hour), Renditions: []RecordingRendition{}}
	w.recorded = append(w.recorded, r)
	return r, nil
}

func (w *world) StopRecording(stream string) (Recording, bool) {
	r, ok := w.RecordingOf(stream)
	for i := range w.recorded {
		if w.recorded[i].ID == r.ID {
			w.recorded[i].State = "complete"
		}
	}
	return r, ok
}

func (w *world) DeleteRecording(id string) error {
	i := slices.IndexFunc(w.recorded, func(r Recording) bool { return r.ID == id })
	switch {
	case i < 0:
		return ErrNoRecording
	case w.recorded[i].State == "live":
		return ErrRecordingGoesOn
	}
	w.recorded = slices.Delete(w.recorded, i, i+1)
	return nil
}

// TestRecordings lists, starts, stops and deletes recordings.
func TestRecordings(t *testing.T) {
	a, w := newAPI(t)
	w.recorded = []Recording{
		{ID: "r2", Stream: "live/b", State: "complete", Started: began.Add(time.Minute), Renditions: []RecordingRendition{{ID: "v0", Kind: "video"}}},
		{ID: "r1", Stream: "live/a", State: "complete", Started: began, Renditions: []RecordingRendition{}},
	}
	for _, c := range []struct {
		method, target string
		status         int
		ids            string
	}{
		{"GET", "/recordings", 200, "r1 r2 "},
		{"GET", "/recordings?stream=live%2Fb", 200, "r2 "},
		{"GET", "/recordings?limit=1", 200, "r1 "},
		{"GET", "/streams/live%2Fa/recording", 404, ""},
		{"PUT", "/streams/off%2Fa/recording", 409, ""},
		{"PUT", "/streams/live%2Faway/recording", 409, ""},
		{"PUT", "/streams/live%2Fa/recording", 200, ""},
		{"PUT", "/streams/live%2Fa/recording", 200, ""},
		{"GET", "/streams/live%2Fa/recording", 200, ""},
		{"GET", "/recordings", 200, "r1 r2 r9 "},
		{"DELETE", "/recordings/r9", 409, ""},
		{"DELETE", "/streams/live%2Fa/recording", 204, ""},
		{"DELETE", "/streams/live%2Fa/recording", 404, ""},
		{"DELETE", "/recordings/r9", 204, ""},
		{"DELETE", "/recordings/r9", 404, ""},
		{"GET", "/recordings/r9", 404, ""},
		{"GET", "/recordings/r2", 200, ""},
		{"GET", "/recordings", 200, "r1 r2 "},
	} {
		got := call(a, c.method, c.target, "")
		if got.Code != c.status {
			t.Errorf("%s %s: %d %s", c.method, c.target, got.Code, got.Body)
			continue
		}
		if c.ids == "" {
			continue
		}
		ids := ""
		for _, r := range answer[Page[Recording]](t, got).Items {
			ids += r.ID + " "
		}
		if ids != c.ids {
			t.Errorf("%s %s: %s", c.method, c.target, ids)
		}
	}
	if got := answer[Recording](t, call(a, http.MethodGet, "/recordings/r2", "")); got.Stream != "live/b" || len(got.Renditions) != 1 {
		t.Errorf("%+v", got)
	}
}
