# Every run in the order in which it was made: a drift of the machine would be a slope.
load "style.gp"
set terminal svg size 980,560 font "DejaVu Sans,10" background rgb "white"
set output from."/order.svg"
file = from."/order.tsv"
stats file using 1 nooutput
set xrange [0:STATS_max]
set xtics 0, (STATS_max > 3000 ? 1000 : STATS_max > 1000 ? 500 : STATS_max > 300 ? 200 : 50)
set multiplot layout 2,4 title "Every run in the order it was made, against the median of its place" font "DejaVu Sans,13" \
    margins 0.065, 0.985, 0.15, 0.87 spacing 0.05, 0.12
set offsets 0, 0, graph 0.05, graph 0.05
unset key
set label 1 "host" at screen 0.30, 0.035 offset 1, 0 point linetype 1 pointtype 7 pointsize 0.5
set label 2 "our container" at screen 0.40, 0.035 offset 1, 0 point linetype 2 pointtype 4 pointsize 0.6
set label 3 "LXC" at screen 0.56, 0.035 offset 1, 0 point linetype 2 pointtype 8 pointsize 0.7
set label 4 "the rungs between" at screen 0.64, 0.035 offset 1, 0 point linetype 3 pointtype 2 pointsize 0.4
do for [panel = 1:8] {
	set title word(tests, panel) font "DejaVu Sans,10.5" offset 0, -0.6
	set ylabel (panel % 4 == 1 ? "% from the median" : "") offset 1.2
	set xlabel (panel > 4 ? "run" : "")
	plot 0 with lines linecolor rgb "#dddddd" linewidth 0.7, \
	     file index (panel - 1) using 1:($3 == 4 ? $2 : NaN) with points linetype 3 pointtype 2 pointsize 0.3, \
	     file index (panel - 1) using 1:($3 == 3 ? $2 : NaN) with points linetype 2 pointtype 8 pointsize 0.55, \
	     file index (panel - 1) using 1:($3 == 2 ? $2 : NaN) with points linetype 2 pointtype 4 pointsize 0.5, \
	     file index (panel - 1) using 1:($3 == 1 ? $2 : NaN) with points linetype 1 pointtype 7 pointsize 0.4
	unset label
}
unset multiplot
