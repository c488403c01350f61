package playlist

// What names in URLs begin and end with.
const (
	PlaylistSuffix = ".m3u8"
	SegmentSuffix  = ".ts"
	PartSuffix     = ".m4s"
	InitSuffix     = ".mp4"
	FramesSuffix   = ".iframes"
	IndexName      = "index"
	IndexPrefix    = "index-"
)
