# The five attributes: dots with their intervals, against the host.
load "style.gp"
set terminal svg size 760,400 font face background rgb "white"
set output from."/attributes.svg"
file = from."/attributes.tsv"
set title "What the same work costs in a container, against the host"
set xlabel "time for one unit of work; 1 = the host (median of the blocks' ratios, ".system("cat \"$FROM/note.txt\"").")"
set yrange [8.6:0.4]
set xrange [0<*:*]
set ytics scale 0
set for [i = 1:8] ytics add (word(tests, i) i)
unset grid
set grid xtics linecolor rgb "#dddddd" linetype 1 linewidth 0.7
set arrow from first 1, graph 0 to first 1, graph 1 nohead linetype 1 linewidth 1.2 dashtype 2
set offsets graph 0.03, graph 0.03, 0, 0
set key outside top right horizontal width 2
# The host is on the axis even where nothing could be held against it.
$axis << END
1
END
# What has no interval is a dot alone.
plot $axis using 1:(1):(" ") with labels notitle, \
     file index 0 using 2:($1 - 0.13) with points linetype 1 notitle, \
     file index 1 using 2:($1 + 0.13) with points linetype 2 notitle, \
     file index 0 using 2:($1 - 0.13):3:4 with xerrorbars linetype 1 title "our container", \
     file index 1 using 2:($1 + 0.13):3:4 with xerrorbars linetype 2 title "LXC", \
     keyentry with lines linetype 1 linewidth 1.2 dashtype 2 title "host"
