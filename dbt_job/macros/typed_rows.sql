{# Bronze rows of one stream: the payload's text trimmed, empty as NULL, every field safe_cast. A text that does not cast and
   a required value that is missing make the row bad: `_bad` = '<field>=<its text>' of the first such field. So nothing turns
   into NULL in silence: the stream's model reads the rows where `_bad` is NULL, slv_set_aside reads the others.
   slices = the answer of slices_to_read(); typed=false leaves out the fields and keeps where the row came from. #}
{% macro typed_rows(stream, slices, typed=true) %}
  {%- set fields = crm_fields(stream) -%}
  {%- set required = crm_required(stream) %}
  select
    {%- if typed %}
    {% for name, type in fields.items() %}{{ 't.' ~ name if type == 'string' else 'safe_cast(t.' ~ name ~ ' as ' ~ type ~ ') as ' ~ name }}, {% endfor %}
    {%- endif %}
    case
      {%- for name, type in fields.items() if name in required or type != 'string' %}
      when {{ is_bad(name, type, name in required) }} then concat('{{ name }}=', coalesce(t.{{ name }}, ''))
      {%- endfor %}
    end as _bad,
    t._account_id, t._slice_id, t._file, t._line, t._row, t._file_at, t._as_of
  from (
    select
      {% for name, type in fields.items() if typed or name in required or type != 'string' -%}
      nullif(trim(json_value(b.payload, '$.{{ name }}')), '') as {{ name }},
      {% endfor -%}
      b._account_id, b._slice_id, b._file, coalesce(b._line, b._row) as _line, b._row, s.file_at as _file_at, s.as_of as _as_of
    from {{ source('bronze', stream | replace('.', '__')) }} as b
    join {{ ref('slv_slices') }} as s on s.slice_id = b._slice_id
    where {{ among_days('b._date', slices.days) }} and s.build > {{ slices.since }}
  ) as t
{% endmacro %}

{% macro is_bad(name, type, required) -%}
  {%- if type == 'string' -%}t.{{ name }} is null
  {%- elif required -%}safe_cast(t.{{ name }} as {{ type }}) is null
  {%- else -%}t.{{ name }} is not null and safe_cast(t.{{ name }} as {{ type }}) is null
  {%- endif -%}
{%- endmacro %}
