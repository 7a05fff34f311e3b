#!/bin/sh
# record.sh IPVSADM CORPUS
# Says each line of a corpus, the exit status of IPVSADM on it, and what it printed: a transcript. Wants a machine whose IPVS nobody needs,
# with the files hosts and services beside this script as /etc/hosts and /etc/services, and an interface dummy0 with multicast.
# The corpus of a transcript is what follows its "### ". " @" in a line begins its standard input; "(none)" is no argument.
while IFS= read -r line; do
 case "$line" in '') continue ;; esac
 echo "### $line"
 case "$line" in
 *' @'*) printf '%b' "${line#* @}" > /tmp/record.in; arguments=${line%% @*} ;;
 *) : > /tmp/record.in; arguments=$line ;;
 esac
 [ "$arguments" = "(none)" ] && arguments=
 eval "$1 $arguments" > /tmp/record.out 2> /tmp/record.err < /tmp/record.in
 echo "rc=$?"
 sed 's/^/o|/' /tmp/record.out
 sed 's/^/e|/' /tmp/record.err
done < "$2"
