package segmenter

import (
	"time"

	"livego/internal/media"
	"livego/internal/mpegts"
)

// recipe is what a segment is made of: with it nobody has to hold its bytes beside those of the
// units, which the ring and CMAF hold too.
type recipe struct {
	// from is the muxer as the segment began.
	from  *mpegts.Muxer
	units []ingredient
	// changes are those of the tracks in the course of the segment.
	changes []trackChange
}

// ingredient is what a muxer reads of an access unit.
type ingredient struct {
	track        *media.Track
	dts, pts     time.Duration
	data         []byte
	randomAccess bool
}

// trackChange says that the tracks changed before a unit.
type trackChange struct {
	before int
	to     pair
}

// newRecipe begins a segment with a muxer as it is. It will have about so many units.
func newRecipe(mux *mpegts.Muxer, units int) recipe {
	return recipe{from: mux.Clone(), units: make([]ingredient, 0, units+units/8)}
}

func (r *recipe) add(u *media.AccessUnit) {
	r.units = append(r.units, ingredient{u.Track, u.DTS, u.PTS, u.Data, u.RandomAccess})
}

func (r *recipe) tracks(to pair) {
	r.changes = append(r.changes, trackChange{len(r.units), to})
}

// make returns a function that makes the segment of size bytes again, at any time and by any
// number of goroutines.
func (r *recipe) make(size int) func() []byte {
	from, units, changes := r.from, r.units, r.changes
	return func() []byte {
		mux, changes := from.Clone(), changes
		b := make([]byte, mpegts.TablesSize, size)
		for i := range units {
			for len(changes) > 0 && changes[0].before <= i {
				mux.SetTracks(changes[0].to.video, changes[0].to.audio)
				changes = changes[1:]
			}
			in := &units[i]
			u := media.AccessUnit{Track: in.track, DTS: in.dts, PTS: in.pts, Data: in.data, RandomAccess: in.randomAccess}
			b, _ = mux.Append(b, &u) // it was taken before
		}
		for _, c := range changes {
			mux.SetTracks(c.to.video, c.to.audio)
		}
		b = mux.Flush(b)
		mux.AppendTables(b[:0])
		return b
	}
}
