{{/* The name of the release, if it contains the name of the chart. Suffixes add up to 22 characters. */}}
{{- define "tensorgate.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- default $full .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "tensorgate.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 }}
app.kubernetes.io/name: tensorgate
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{/* Takes the values of an image, the default tag, and the name of the value that must be there. */}}
{{- define "tensorgate.image" -}}
{{- $image := index . 0 -}}
{{- $repository := required (printf "%s: the image of the server" (index . 2)) $image.repository -}}
{{- if $image.digest -}}
{{ $repository }}@{{ $image.digest }}
{{- else -}}
{{ $repository }}:{{ default (index . 1) $image.tag }}
{{- end -}}
{{- end -}}

{{- define "tensorgate.autoscaler" -}}
{{- ternary .Values.autoscaling.engine "off" .Values.autoscaling.enabled -}}
{{- end -}}

{{- define "tensorgate.serviceAccountName" -}}
{{- default (ternary (include "tensorgate.fullname" .) "default" .Values.serviceAccount.create) .Values.serviceAccount.name -}}
{{- end -}}

{{- define "tensorgate.modelsClaim" -}}
{{- default (printf "%s-models" (include "tensorgate.fullname" .)) .Values.models.pvc.existingClaim -}}
{{- end -}}

{{- define "tensorgate.modelsSecret" -}}
{{- default (printf "%s-models" (include "tensorgate.fullname" .)) .Values.models.uri.secretName -}}
{{- end -}}

{{/* Helm holds numbers of values as floating-point numbers; only JSON prints all of their digits. */}}
{{- define "tensorgate.env" -}}
{{- $settings := list -}}
{{- range $name, $value := .Values.settings -}}
{{- $text := ternary $value (toJson $value) (kindIs "string" $value) -}}
{{- $settings = append $settings (dict "name" $name "value" $text) -}}
{{- end -}}
{{- with concat $settings .Values.extraEnv -}}
{{- toYaml . -}}
{{- end -}}
{{- end -}}
