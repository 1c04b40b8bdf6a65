# What the plots have in common. They are told apart by shape and grey, so that they can be printed in black and white.
#
#     FROM=DIR gnuplot -e "from='DIR'" PLOT.gp    reads DIR/NAME.tsv, writes DIR/NAME.svg
set datafile separator "\t"
set border 3 linecolor rgb "#444444"
set tics nomirror scale 0.5 textcolor rgb "#222222"
set grid linecolor rgb "#dddddd" linetype 1 linewidth 0.7
set key textcolor rgb "#222222" samplen 1.5
set linetype 1 linecolor rgb "#000000" linewidth 1.4 pointtype 7 pointsize 0.7
set linetype 2 linecolor rgb "#555555" linewidth 1.4 pointtype 4 pointsize 0.8
set linetype 3 linecolor rgb "#888888" linewidth 1.2 pointtype 2 pointsize 0.5
face = "DejaVu Sans,11"
# The tests in the order of figures.awk.
tests = "'CPU total time' 'thread execution' 'memory read' 'memory write' 'file read, sequential' 'file read, random' \
'file write, sequential' 'file write, random'"
