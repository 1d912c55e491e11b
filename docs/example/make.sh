#!/bin/sh
# The runs and the page of docs/example: sh docs/example/make.sh FOLDER (about six minutes).
# Three services answer the same digits, each on a quiet machine and beside four processes that are always busy:
# early, a network that was trained too little; digits, the built-in one; batched, the same, whose requests wait up to
# 20 ms for company in their batch.
# A run that is there already stays: remove one that was not valid, and call this again.
# Requests have 250 ms, so that the runs show what comes late; the page asks what is right within 50 ms.
set -eu
folder=${1:?name a folder for weights and runs}
tailgate=.venv/bin/tailgate
mkdir -p "$folder"
.venv/bin/python docs/example/early.py "$folder/early.safetensors"
$tailgate train-digits --out "$folder/digits.safetensors" --if-missing

$tailgate server --listen 127.0.0.1:8701 --model early=digits --weights "early=$folder/early.safetensors" \
    --model digits --weights "digits=$folder/digits.safetensors" > "$folder/server.log" 2>&1 &
servers=$!
$tailgate server --listen 127.0.0.1:8702 --max-queue-delay 20ms --model batched=digits \
    --weights "batched=$folder/digits.safetensors" > "$folder/batched.log" 2>&1 &
servers="$servers $!"
trap 'kill $servers' EXIT
until grep -q listening "$folder/server.log" && grep -q listening "$folder/batched.log"; do sleep 1; done

set --
for condition in quiet=none busy=cpu:4; do
    for model in early digits batched; do
        port=8701
        [ $model = batched ] && port=8702
        run="$folder/$model-${condition%%=*}"
        [ -e "$run" ] ||
            $tailgate load --target 127.0.0.1:$port --model $model --dataset digits --samples 150 --passes 20 \
                --rate 60 --deadline 250ms --on-deadline wait --max-lag 100ms --condition $condition --seed 1 \
                --trace "$run" ||
            echo "this run was not valid; its part of the page says so" >&2
        set -- "$@" "$run"
    done
done
$tailgate report "$@" --deadline 50ms --out "$folder/report"
