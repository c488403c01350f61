package hls

// What names in URLs begin and end with.
const (
	playlistSuffix = ".m3u8"
	segmentSuffix  = ".ts"
	partSuffix     = ".m4s"
	initSuffix     = ".mp4"
	framesSuffix   = ".iframes"
	indexName      = "index"
	indexPrefix    = "index-"
)
