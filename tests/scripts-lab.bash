# What the tests of scripts/lab share: a directory of the test's own with no lab in it, and results. It is loaded after
# scripts.bash.

# shellcheck shell=bash
# shellcheck disable=SC2034 # some variables are for the test files to use

# Each file's setup.
setup() {
	setup_scripts
	top=$(cd "$BATS_TEST_DIRNAME/.." && pwd -P)
	unset LAB_DIR LAB_NAME
}

lab() {
	"$top/scripts/lab" "$@"
}

# Makes a lab with results that were never measured.
make_results() {
	mkdir -p lab/bench/raw lab/report
	echo 'place,test' >lab/bench/summary.csv
	echo 'words of sysbench' >lab/bench/raw/1.txt
	echo '%PDF-1.7' >lab/report.pdf
	echo '= Report' >lab/report/report.typ
}
