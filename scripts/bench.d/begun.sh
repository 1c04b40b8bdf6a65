# What results were begun with, from DIR/settings. Sourced by bench and by report/build.
# shellcheck shell=sh

# Prints the words with which bench goes on with the results in a directory: begun_words DIR.
begun_words() (
	settings=$1/settings
	set --
	while IFS='=' read -r name value; do
		case $name in
		blocks | seconds | rounds | memory | only | tree) ;;
		file_size) name=file-size ;;
		*) continue ;;
		esac
		[ -z "$value" ] || set -- "$@" "--$name" "$value"
	done <"$settings"
	quote "$@"
)
