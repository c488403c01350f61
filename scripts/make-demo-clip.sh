#!/usr/bin/env bash
# Makes internal/demo/clip.flv: 8 s of H.264 and AAC that loop without a seam, with a counter, a moving ball and a soft tone.
#
# 8 s are 240 pictures and exactly 375 AAC frames of 1,024 samples at 48 kHz, so that a loop adds 8,000 ms and nothing is cut. Picture and
# tone are functions with periods that divide 8 s. Sound is cut from the middle of three rounds: there the encoder's overlap with the
# frame before is that of a loop, not that of a start from silence.
set -euo pipefail
cd "$(dirname "$0")/.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
font=${FONT:-/usr/share/fonts/truetype/dejavu/DejaVuSansMono-Bold.ttf}
ffmpeg=(ffmpeg -v error -y)

tone='(0.05*sin(2*PI*220*t)+0.04*sin(2*PI*277.25*t)+0.03*sin(2*PI*330*t))*(0.7+0.3*sin(2*PI*t/4))+0.06*sin(2*PI*880*t)*exp(-14*mod(t\,1))'
"${ffmpeg[@]}" -f lavfi -i "aevalsrc=$tone:s=48000:d=24" -ac 2 -c:a aac -b:a 64k "$work/tone.aac"

plasma="geq=lum='70+34*sin(X/70+2*PI*T/4)+30*cos(Y/45-2*PI*T/8)':cb='138+34*sin((X+Y)/110+2*PI*T/8)':cr='112+26*cos((X-Y)/120+2*PI*T/4)'"
ball="format=yuva420p,geq=lum=235:cb=110:cr=150:a='if(lt(hypot(X-24,Y-24),23),255,0)'"
hand="text='%{eif\:t\:d}.%{eif\:mod(t*10\,10)\:d}'"
"${ffmpeg[@]}" -f lavfi -i "color=black:s=640x360:r=30:d=8" -f lavfi -i "color=white:s=48x48:r=30:d=8" -filter_complex "
  [0]$plasma[back];
  [1]$ball[ball];
  [back][ball]overlay=x='296+250*sin(2*PI*t/4)':y='156+120*sin(2*PI*t/8)',
  drawtext=fontfile=$font:$hand:fontsize=110:fontcolor=white:shadowx=3:shadowy=3:x=215:y=125,
  drawtext=fontfile=$font:text='livego demo':fontsize=28:fontcolor=white@0.85:x=24:y=24,format=yuv420p" \
  -c:v libx264 -preset veryslow -profile:v main -bf 0 -g 60 -keyint_min 60 -sc_threshold 0 -b:v 560k -maxrate 700k -bufsize 700k \
  -frames:v 240 "$work/picture.mp4"

"${ffmpeg[@]}" -i "$work/tone.aac" -ss 8 -frames:a 375 -c copy "$work/audio.m4a"
"${ffmpeg[@]}" -i "$work/picture.mp4" -i "$work/audio.m4a" -map 0:v -map 1:a -c copy -fflags +bitexact -flvflags no_duration_filesize \
  -metadata title='livego demo' internal/demo/clip.flv
