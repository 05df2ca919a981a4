#!/bin/bash
# Keeps the container there for what is run in it, until it is told to stop.

trap 'exit 0' TERM QUIT

sleep infinity &
wait
