{# Datasets carry exactly the layer's name; a developer's own copies get a prefix from the environment (dev target only). #}
{% macro generate_schema_name(custom_schema_name, node) -%}
  {%- set prefix = env_var('DBT_DATASET_PREFIX', '') if target.name == 'dev' else '' -%}
  {{- prefix ~ (custom_schema_name or target.schema) -}}
{%- endmacro %}

{# Surrogate key of a business id given in parts (SQL expressions). The separator keeps ('a', 'bc') apart from ('ab', 'c'). #}
{% macro key(parts) -%}
  to_hex(md5(concat({% for part in parts %}coalesce(cast({{ part }} as string), ''){{ ", '|', " if not loop.last }}{% endfor %})))
{%- endmacro %}

{# The key that a fact carries: '-1' when there is no id at all. An id that no dimension knows keeps its own key, and the
   dimension adds an inferred row for it: so a late dimension row repairs every fact without touching one. #}
{% macro key_or_unknown(id, parts) -%}
  if({{ id }} is null, '-1', {{ key(parts) }})
{%- endmacro %}
