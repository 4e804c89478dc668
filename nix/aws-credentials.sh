#!/bin/sh
# For `credential_process` in a configuration file of AWS's: prints the keys that are in FILE, as AWS wants them. FILE
# is one of AWS's (`aws_access_key_id = …` below `[default]`; the first section counts) or has lines of the form
# AWS_ACCESS_KEY_ID=… `credential:NAME` is a credential of the service's.
case $1 in
  credential:*) file=$CREDENTIALS_DIRECTORY/${1#credential:} ;;
  *) file=$1 ;;
esac

trim() { # TEXT: sets $text to it, without blanks and quotes around it
  text=${1#"${1%%[![:space:]]*}"}
  text=${text%"${text##*[![:space:]]}"}
  case $text in
    \"*\" | \'*\') text=${text#?} text=${text%?} ;;
  esac
}

id='' secret='' token='' sections=0
while IFS= read -r line || [ -n "$line" ]; do
  case $line in
    '['*) sections=$((sections + 1)) ;;
  esac
  [ "$sections" -le 1 ] || break
  trim "${line#*=}"
  value=$text
  trim "${line%%=*}"
  case ${text#export } in
    aws_access_key_id | AWS_ACCESS_KEY_ID) id=$value ;;
    aws_secret_access_key | AWS_SECRET_ACCESS_KEY) secret=$value ;;
    aws_session_token | AWS_SESSION_TOKEN) token=$value ;;
  esac
done <"$file" || exit 1

if [ -z "$id" ] || [ -z "$secret" ]; then
  echo "nix-upload: $file has no aws_access_key_id and aws_secret_access_key" >&2
  exit 1
fi
printf '{"Version":1,"AccessKeyId":"%s","SecretAccessKey":"%s"%s}\n' "$id" "$secret" \
  "${token:+,\"SessionToken\":\"$token\"}"
