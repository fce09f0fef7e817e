{#- The streams are those of the contract: the bronze tables named <source>__<stream>. -#}
{%- set streams = [] -%}
{%- if execute -%}
  {%- for node in graph.sources.values() if node.source_name == 'bronze' and '__' in node.name -%}
    {%- do streams.append(node.name | replace('__', '.')) -%}
  {%- endfor -%}
{%- endif %}
with declared as (
  select stream
  from unnest(array<string>[{% for stream in streams | sort %}'{{ stream }}'{{ ', ' if not loop.last }}{% endfor %}]) as stream
)
select
  d.stream, if(s.stream is null, 'nothing loaded', 'loaded without a row') as finding, coalesce(s.slices, 0) as slices
from declared as d
left join (
  select stream, count(*) as slices, sum(row_count) as row_count from {{ ref('slv_slices') }} group by stream
) as s on s.stream = d.stream
where coalesce(s.row_count, 0) = 0
