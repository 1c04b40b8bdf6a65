# The ladder from the host to the container as waterfalls: a bar goes from what the rung before cost to what this one does.
load "style.gp"
set terminal svg size 980,620 font "DejaVu Sans,10" background rgb "white"
set output from."/ladder.svg"
file = from."/ladder.tsv"
set multiplot layout 2,4 title "What each rung adds on the way from the host to the container" font "DejaVu Sans,13" \
    margins 0.065, 0.99, 0.2, 0.87 spacing 0.05, 0.09
set style fill solid 1.0 border linecolor rgb "#222222"
set xrange [0.4:6.6]
unset key
set offsets 0, 0, graph 0.1, graph 0.1
do for [panel = 1:8] {
	set title word(tests, panel) font "DejaVu Sans,10.5" offset 0, -0.6
	set ylabel (panel % 4 == 1 ? "% slower than the host" : "") offset 1.2
	set xtics ("" 1, "" 2, "" 3, "" 4, "" 5, "" 6)
	if (panel > 4) {
		set xtics rotate by 55 right offset 0.4, 0 ("+ namespaces" 1, "+ cgroup" 2, "+ root" 3, \
		    "+ image, buffered" 4, "+ image, direct" 5, "whole container" 6)
	}
	plot file index (panel - 1) using 1:(($2 + $3) / 2):(0.35):(abs($3 - $2) / 2):($3 > $2 ? 0x888888 : 0xffffff) \
	         with boxxyerror linecolor rgb variable, \
	     0 with lines linecolor rgb "#000000" linewidth 1.2, \
	     file index (panel - 1) using 1:3 with points linetype 1 pointsize 0.4, \
	     file index (panel - 1) using 1:3:4:5 with yerrorbars linetype 1 pointsize 0.4
}
unset multiplot
