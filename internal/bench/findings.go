package bench

import (
	"sync"
	"time"
)

// Faults are what must not happen to a stream. The players of the sample count them from their
// first byte on.
type Faults struct {
	// Unreadable counts messages that cannot be taken apart.
	Unreadable uint64 `json:"unreadable"`
	// Backwards counts times and pictures that are before the one before them.
	Backwards uint64 `json:"backwards"`
	// BadStarts and BadResumes count pictures that are not key frames where one had to be: at the
	// start, and after a jump.
	BadStarts  uint64 `json:"bad_starts"`
	BadResumes uint64 `json:"bad_resumes"`
}

// Add adds the faults of another run.
func (f *Faults) Add(other Faults) {
	f.Unreadable += other.Unreadable
	f.Backwards += other.Backwards
	f.BadStarts += other.BadStarts
	f.BadResumes += other.BadResumes
}

// findings collects what the players of the sample see.
type findings struct {
	mu sync.Mutex
	Faults
	jumps, lost    uint64
	delays, recent *histogram
	// gaps are the times between pictures, parts those from the sending of a part's first picture
	// to the part's arrival.
	gaps, parts *histogram
	firstKeys   *histogram
}

func newFindings() *findings {
	return &findings{delays: &histogram{}, recent: &histogram{}, gaps: &histogram{}, parts: &histogram{}, firstKeys: &histogram{}}
}

// fault counts one of the Faults.
func (f *findings) fault(counter *uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	*counter++
}

// jump counts a leap over pictures.
func (f *findings) jump(pictures uint32) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.jumps++
	f.lost += uint64(pictures)
}

func (f *findings) delay(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.delays.add(d)
	f.recent.add(d)
}

func (f *findings) gap(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.gaps.add(d)
}

func (f *findings) part(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.parts.add(d)
}

func (f *findings) firstKey(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.firstKeys.add(d)
}

// begin starts the measurement of times and jumps.
func (f *findings) begin() {
	f.mu.Lock()
	defer f.mu.Unlock()
	*f.delays, *f.gaps, *f.parts = histogram{}, histogram{}, histogram{}
	f.jumps, f.lost = 0, 0
}

// takeRecent returns the delays since the last call.
func (f *findings) takeRecent() Quantiles {
	f.mu.Lock()
	defer f.mu.Unlock()
	q := f.recent.quantiles()
	*f.recent = histogram{}
	return q
}

// describe puts what the sample saw into the report.
func (f *findings) describe(r *Report) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r.LatencyMS, r.FirstKeyMS, r.GapMS, r.PartMS = f.delays.quantiles(), f.firstKeys.quantiles(), f.gaps.quantiles(), f.parts.quantiles()
	r.Jumps, r.LostPictures, r.Faults = f.jumps, f.lost, f.Faults
}

// describeStorm adds what the players of the storm saw up to their first key frames.
func (f *findings) describeStorm(r *Report) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r.StormFirstKeyMS = f.firstKeys.quantiles()
	r.Faults.Add(f.Faults)
}
