# How long it takes to start one: every start a dot, and a bar at the median of each way.
load "style.gp"
set terminal svg size 860,420 font face background rgb "white"
set output from."/starts.svg"
file = from."/starts.tsv"
set multiplot layout 1,2 title "From exec to the first instruction of the program" font "DejaVu Sans,13" \
    margins 0.16, 0.985, 0.15, 0.84 spacing 0.03, 0
set logscale x
# Where nothing was started the axis has these two all the same.
$axis << END
1
10
END
set xlabel "milliseconds (logarithmic)"
set yrange [8.7:0.3]
set ytics scale 0
unset key
do for [panel = 0:1] {
	set title (panel == 0 ? "one every 20 ms" : "one right after the other") font "DejaVu Sans,11"
	if (panel == 1) { set ytics textcolor rgb "white" scale 0 }
	plot $axis using 1:(1):(" ") with labels, \
	     file index (2 * panel) using 2:($1 + 0.5 * (rand(0) - 0.5)) with points linetype 2 pointtype 6 pointsize 0.25, \
	     file index (2 * panel + 1) using 2:1:(0):(0.36):ytic(3) with xyerrorbars linetype 1 linewidth 2.5 pointsize 0
}
unset multiplot
